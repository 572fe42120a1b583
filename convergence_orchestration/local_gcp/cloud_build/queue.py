"""Builds in the store: which wait, and how they end.

What belongs here: states of builds and their operations, each change in the caller's transaction.
"""

import base64
from datetime import datetime
from typing import Any

from google.cloud.devtools.cloudbuild_v1 import Build, BuildOperationMetadata, BuiltImage
from google.protobuf.wrappers_pb2 import StringValue

from convergence_orchestration.local_gcp import operations
from convergence_orchestration.local_gcp.store import Rows

Status: Any = Build.Status
_FailureType: Any = Build.FailureInfo.FailureType
FINISHED = (
    Status.SUCCESS,
    Status.FAILURE,
    Status.INTERNAL_ERROR,
    Status.TIMEOUT,
    Status.CANCELLED,
    Status.EXPIRED,
)
_QUEUE = "builds/queue"
_CANCELLED = 1
_UNKNOWN = 2


def operation_name(build: Build) -> str:
    """The operation's name as Cloud Build writes it."""
    encoded = base64.urlsafe_b64encode(build.id.encode()).decode()
    return f"operations/build/{build.project_id}/{encoded}"


def metadata_of(build: Build) -> BuildOperationMetadata:
    """What the operation says while it goes on."""
    return BuildOperationMetadata(build=build)


def enqueue(rows: Rows, build: Build, parent: str) -> Any:  # noqa: ANN401 protobuf's class has no types
    """Write down a new build and the operation that ends with it; the operation."""
    rows.insert(build.name, parent, build)
    rows.insert(build.name, _QUEUE, StringValue(value=build.name))
    return operations.begin(rows, operation_name(build), build.name, metadata_of(build))


def next_build(rows: Rows) -> Build | None:
    """The build that has waited longest, or was under way when its builder died."""
    for _, entry in rows.oldest_first(StringValue, _QUEUE, 0, 1):
        return rows.get(Build, entry.value)
    return None


def start(rows: Rows, name: str, now: datetime) -> None:
    """The build is worked on."""
    build = rows.get(Build, name)
    if build is not None and build.status not in FINISHED:
        build.status, build.start_time = Status.WORKING, now
        _update(rows, build)


def succeed(rows: Rows, name: str, images: list[BuiltImage], now: datetime) -> None:
    """The build has made its images."""
    build = rows.get(Build, name)
    if build is None or build.status in FINISHED:
        return
    build.status, build.finish_time = Status.SUCCESS, now
    build.results.images = images
    for step in build.steps:
        step.status = Status.SUCCESS
    _update(rows, build)
    for operation in operations.under_way(rows, name):
        operations.succeed(rows, operation, metadata_of(build), build)
    rows.delete(StringValue, name)


def fail(rows: Rows, name: str, status: Any, detail: str, now: datetime) -> Build | None:  # noqa: ANN401 an enum
    """The build ended in another way; None if it had ended already."""
    build = rows.get(Build, name)
    if build is None or build.status in FINISHED:
        return None
    build.status, build.status_detail, build.finish_time = status, detail, now
    build.failure_info.detail = detail
    build.failure_info.type_ = _FailureType.USER_BUILD_STEP
    _update(rows, build)
    is_cancelled = status == Status.CANCELLED
    message = "Build cancelled" if is_cancelled else "Build failed; check build logs for details"
    for operation in operations.under_way(rows, name):
        operations.fail(
            rows, operation, metadata_of(build), _CANCELLED if is_cancelled else _UNKNOWN, message
        )
    rows.delete(StringValue, name)
    return build


def _update(rows: Rows, build: Build) -> None:
    rows.update(build.name, build)
    for operation in operations.under_way(rows, build.name):
        operations.say(rows, operation, metadata_of(build))
