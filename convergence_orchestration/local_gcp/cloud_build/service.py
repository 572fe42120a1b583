"""google.devtools.cloudbuild.v1.CloudBuild.

What belongs here: asking for builds, reading and cancelling them. Triggers, worker pools and approvals are not served.
"""

import uuid
from datetime import timedelta
from pathlib import PurePosixPath

from google.cloud.devtools.cloudbuild_v1 import types
from google.cloud.devtools.cloudbuild_v1.services.cloud_build.transports.rest_base import (
    _BaseCloudBuildRestTransport,
)
from google.longrunning.operations_pb2 import Operation

from convergence_orchestration.local_gcp.cloud_build import queue
from convergence_orchestration.local_gcp.cloud_build.queue import Status
from convergence_orchestration.local_gcp.cloud_build.source import FILE
from convergence_orchestration.local_gcp.fields import name_pattern, require_name
from convergence_orchestration.local_gcp.paging import page
from convergence_orchestration.local_gcp.refusals import failed_precondition, invalid, not_found, not_served
from convergence_orchestration.local_gcp.rpc import Call, Service, rpc

_LOCATION = name_pattern("projects/{project}/locations/{location}")
_BUILD = name_pattern("projects/{project}/locations/{location}/builds/{build}", build=r"[0-9a-f-]{36}")
_DEFAULT_LOCATION = "global"
_DEFAULT_TIMEOUT = timedelta(minutes=10)
_MAX_TIMEOUT = timedelta(hours=24)


class CloudBuild(Service):
    """Builds."""

    full_name = "google.devtools.cloudbuild.v1.CloudBuild"
    host = "cloudbuild.googleapis.com"
    http_rules = _BaseCloudBuildRestTransport

    @rpc(writes=True)
    def create_build(self, request: types.CreateBuildRequest, call: Call) -> Operation:
        """A build that waits for its turn; the operation ends with it."""
        parent = _parent(request.parent, request.project_id)
        build = types.Build(request.build)
        _require_buildable(build)
        build.id = str(uuid.uuid4())
        build.project_id = parent.split("/")[1]
        build.name = f"{parent}/builds/{build.id}"
        build.status, build.create_time = Status.QUEUED, call.now
        build.timeout = build.timeout or _DEFAULT_TIMEOUT
        build.log_url = f"{FILE}build-logs/{build.id}.log"  # below the data directory
        return queue.enqueue(call.rows, build, parent)

    @rpc(writes=False)
    def get_build(self, request: types.GetBuildRequest, call: Call) -> types.Build:
        """One build."""
        return _require_build(request.name, request.project_id, request.id, call)

    @rpc(writes=False)
    def list_builds(self, request: types.ListBuildsRequest, call: Call) -> types.ListBuildsResponse:
        """A location's builds, the newest first."""
        parent = _parent(request.parent, request.project_id)
        found, token = page(call.rows.newest_first, types.Build, parent, request)
        return types.ListBuildsResponse(builds=found, next_page_token=token)

    @rpc(writes=True)
    def cancel_build(self, request: types.CancelBuildRequest, call: Call) -> types.Build:
        """The build, cancelled: what it still makes is thrown away."""
        build = _require_build(request.name, request.project_id, request.id, call)
        cancelled = queue.fail(call.rows, build.name, Status.CANCELLED, "Cancelled by a caller.", call.now)
        if cancelled is None:
            failed_precondition(f"Build [{build.id}] has ended with {build.status.name}.")
        return cancelled


def _parent(parent: str, project: str) -> str:
    name = parent or f"projects/{project}/locations/{_DEFAULT_LOCATION}"
    require_name(_LOCATION, name, "parent")
    return name


def _require_build(name: str, project: str, identifier: str, call: Call) -> types.Build:
    name = name or f"projects/{project}/locations/{_DEFAULT_LOCATION}/builds/{identifier}"
    require_name(_BUILD, name, "name")
    return call.rows.get(types.Build, name) or not_found(f"Build [{name}]")


def _require_buildable(build: types.Build) -> None:
    if not build.steps:
        invalid("build.steps must have at least one step.")
    if "storage_source" not in build.source:
        not_served("A build of anything but a storage_source")
    source = build.source.storage_source
    if not source.bucket or not source.object_:
        invalid("build.source.storage_source must name a bucket and an object.")
    if (
        not source.object_.startswith(FILE)
        and ".." in PurePosixPath(f"{source.bucket}/{source.object_}").parts
    ):
        invalid("build.source.storage_source must not lead out of its bucket.")
    if not build.images:
        invalid("build.images must name the image that the build makes.")
    if build.timeout and not timedelta(0) < build.timeout <= _MAX_TIMEOUT:
        invalid("build.timeout must be more than 0 s and at most 24 hours.")
