"""Cloud Logging: the lines that the platform's processes wrote.

What belongs here: reading pages of entries and what an entry says, as our own type. Filters are `log_filters.py`'s.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
from google.cloud.logging_v2.types import ListLogEntriesRequest
from google.logging.type.log_severity_pb2 import LogSeverity
from google.protobuf.json_format import MessageToDict

from convergence_orchestration.gcp.deadlines import TOTAL_SECONDS, each_attempt, repeatable
from convergence_orchestration.gcp.grants import YOU, project_grant
from convergence_orchestration.gcp.log_filters import CLOUD_RUN, Wanted, filter_of
from convergence_orchestration.gcp.translate import Service, translated

_PAGE = 1000
_OVERLAP = timedelta(seconds=15)
"""Entries arrive out of order, Google's some seconds late: each look goes back so far behind the newest line."""
_MESSAGE_FIELDS = ("msg", "message")


@dataclass(frozen=True)
class LogLine:
    """One line.

    Attributes:
        source: the revision or the process that wrote it.
        id: the entry's own, by which a repeated one is known.
        fields: what else the line says; numbers are floats, as JSON's are.
    """

    timestamp: datetime
    severity: str
    source: str
    message: str
    id: str
    fields: Mapping[str, Any]


class Logs:
    """Cloud Logging of one project. Every method raises the errors of `translate.py`."""

    def __init__(
        self, client: LoggingServiceV2Client, project: str, *, total_seconds: float = TOTAL_SECONDS
    ) -> None:
        self.client = client
        self._project = project
        self._total_seconds = total_seconds
        self._translated = partial(
            translated,
            service=Service("Cloud Logging", str(client.transport.host), project),
            grant=project_grant(project, "roles/logging.viewer", YOU),
        )

    def newest(self, filter_text: str, limit: int) -> list[LogLine]:
        """The newest `limit` lines that the filter fits, in order of time."""
        found = list(islice(self._lines(filter_text, "timestamp desc", limit), limit))
        return found[::-1]

    def oldest(self, filter_text: str) -> Iterator[LogLine]:
        """All lines that the filter fits, in order of time."""
        return self._lines(filter_text, "timestamp asc", _PAGE)

    def close(self) -> None:
        """Close the client."""
        self.client.transport.close()  # type: ignore[no-untyped-call]

    def _lines(self, filter_text: str, order: str, limit: int) -> Iterator[LogLine]:
        request = ListLogEntriesRequest(
            resource_names=[f"projects/{self._project}"],
            filter=filter_text,
            order_by=order,
            page_size=max(1, min(limit, _PAGE)),
        )
        with self._translated("reading log entries"):
            entries = self.client.list_log_entries(
                request=request, retry=repeatable(self._total_seconds), timeout=each_attempt()
            )
            for entry in entries:
                yield line_of(type(entry).pb(entry))


def line_of(entry: Any) -> LogLine:  # noqa: ANN401 protobuf's class has no types
    """What an entry says."""
    labels = entry.resource.labels
    kind = entry.WhichOneof("payload")
    fields = MessageToDict(entry.json_payload) if kind == "json_payload" else {}
    message = next((str(fields.pop(name)) for name in _MESSAGE_FIELDS if name in fields), entry.text_payload)
    at = entry.timestamp
    return LogLine(
        timestamp=datetime.fromtimestamp(at.seconds, UTC).replace(microsecond=at.nanos // 1000),
        severity=LogSeverity.Name(entry.severity),
        source=labels["revision_name"] if entry.resource.type == CLOUD_RUN else labels["container_name"],
        message=message,
        id=entry.insert_id,
        fields=fields,
    )


class LogFollower:
    """What is added to the log; each line once, in order of time among those of one look.

    Args:
        logs: who is asked.
        wanted: which lines; its `since` is not looked at.
        shown: the lines that were shown, in order of time.
        now: from when on, if none were.
    """

    def __init__(self, logs: Logs, wanted: Wanted, shown: Iterable[LogLine], now: datetime) -> None:
        self._logs = logs
        self._wanted = wanted
        self._seen = {line.id: line.timestamp for line in shown}
        self._begin = self._newest = max(self._seen.values(), default=now)

    def new_lines(self) -> Iterator[LogLine]:
        """The lines that have come since the last call."""
        since = max(self._begin, self._newest - _OVERLAP)
        self._seen = {one: at for one, at in self._seen.items() if at >= since}
        for line in self._logs.oldest(filter_of(replace(self._wanted, since=since))):
            if line.id not in self._seen:
                self._seen[line.id] = line.timestamp
                self._newest = max(self._newest, line.timestamp)
                yield line
