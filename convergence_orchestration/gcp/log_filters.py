"""Cloud Logging's filter for what a person wants to see.

What belongs here: the filter language, written and never read: pure functions. Who asks is `logs.py`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

CLOUD_RUN = "cloud_run_revision"
CONTAINER = "k8s_container"
"""What Cloud Logging calls the processes beside Cloud Run's: Dagster's, and on one machine the emulators too."""


class Severity(StrEnum):
    """Cloud Logging's severities that our lines have, the least first."""

    DEFAULT = "DEFAULT"
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


@dataclass(frozen=True)
class Wanted:
    """Which lines are wanted; what is None, or DEFAULT, does not narrow it.

    Attributes:
        process: a process beside Cloud Run's, by its container's name.
        service: a service of Cloud Run; with `process` the lines of both.
        request_id: of a call, or of a request about a tenant.
        since: from this time on, in UTC.
    """

    process: str | None = None
    service: str | None = None
    revision: str | None = None
    severity: Severity = Severity.DEFAULT
    tenant_id: str | None = None
    request_id: str | None = None
    run_id: str | None = None
    since: datetime | None = None


def filter_of(wanted: Wanted) -> str:
    """The filter; each value is quoted, whatever is in it."""
    fields = (
        ("jsonPayload.tenant_id", wanted.tenant_id),
        ("jsonPayload.run_id", wanted.run_id),
        ("resource.labels.revision_name", wanted.revision),
    )
    conditions = [_source(wanted), *(f"{field} = {quoted(value)}" for field, value in fields if value)]
    if wanted.request_id:
        request = quoted(wanted.request_id)
        conditions.append(
            f"(jsonPayload.request_id = {request} OR jsonPayload.tenant_request_id = {request})"
        )
    if wanted.severity is not Severity.DEFAULT:
        conditions.append(f"severity >= {wanted.severity}")
    if wanted.since is not None:
        conditions.append(f"timestamp >= {quoted(timestamp(wanted.since))}")
    return " AND ".join(conditions)


def quoted(value: str) -> str:
    """The value as a string of the filter language, which knows C's escapes."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def timestamp(at: datetime) -> str:
    """The time as Cloud Logging writes it."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _source(wanted: Wanted) -> str:
    """Our processes alone: a project's log holds the lines of Google's services as well."""
    service = _resource(CLOUD_RUN, "service_name", wanted.service)
    process = _resource(CONTAINER, "container_name", wanted.process)
    if wanted.service and not wanted.process:
        return service
    if wanted.process and not wanted.service:
        return process
    return f"({service} OR {process})"


def _resource(kind: str, label: str, name: str | None) -> str:
    of_kind = f"resource.type = {quoted(kind)}"
    return f"({of_kind} AND resource.labels.{label} = {quoted(name)})" if name else of_kind
