"""What a line of a log file means as an entry of Cloud Logging.

What belongs here: pure functions from bytes to entries, and to Google's message. Our JSON lines become structured entries as
Cloud Run's agent makes them: `severity` and `timestamp` become the entry's own, all else is the payload. Any other line is
text of the time of the line before it.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from google.api.monitored_resource_pb2 import MonitoredResource
from google.cloud.logging_v2.types import LogEntry
from google.logging.type.log_severity_pb2 import LogSeverity
from google.protobuf.struct_pb2 import Struct

_STDERR: Final = "run.googleapis.com%2Fstderr"
_SEVERITIES: Final = frozenset(
    {"DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"}
)
_UNKNOWN: Final = "DEFAULT"
_LONGEST_TEXT: Final = 100_000
_EXACT: Final = 2**53
"""Integers below are exact as floats."""


@dataclass(frozen=True)
class Origin:
    """Who wrote a file: the monitored resource of its entries."""

    resource_type: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        insert_id: made of the file and the place in it, so that it is the same at every look, and in order.
        text: of a line that is no JSON object; None of one that is.
    """

    origin: Origin
    timestamp: datetime
    severity: str
    insert_id: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    text: str | None = None

    @property
    def resource_type(self) -> str:
        """The type of its monitored resource."""
        return self.origin.resource_type

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of its monitored resource."""
        return self.origin.labels

    @property
    def order(self) -> tuple[datetime, str]:
        """What Cloud Logging orders entries by."""
        return self.timestamp, self.insert_id


def entry_of(line: bytes, origin: Origin, insert_id: str, before: datetime) -> Entry:
    """The entry of a line; `before` is the time of one that does not tell its own."""
    text = line.decode("utf-8", "replace")[:_LONGEST_TEXT]
    fields = _object(text)
    if fields is None:
        return Entry(origin, before, _UNKNOWN, insert_id, text=text)
    at = _time(fields.get("timestamp"))
    severity = str(fields.get("severity", "")).upper()
    if at is not None:
        del fields["timestamp"]
    if severity in _SEVERITIES:
        del fields["severity"]
    else:
        severity = _UNKNOWN
    return Entry(origin, at or before, severity, insert_id, fields)


def message_of(entry: Entry, project: str) -> LogEntry:
    """Google's message of an entry."""
    made = LogEntry(
        log_name=f"projects/{project}/logs/{_STDERR}",
        resource=MonitoredResource(type=entry.resource_type, labels={"project_id": project, **entry.labels}),
        timestamp=entry.timestamp,
        severity=LogSeverity.Value(entry.severity),
        insert_id=entry.insert_id,
    )
    if entry.text is not None:
        made.text_payload = entry.text
    else:
        payload = Struct()
        payload.update(_storable(entry.fields))
        LogEntry.pb(made).json_payload.CopyFrom(payload)
    return made


def _object(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _time(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else None


def _storable(value: Any) -> Any:  # noqa: ANN401 any JSON
    """JSON as protobuf's Struct takes it: NaN and infinity are text there, and big integers floats."""
    if isinstance(value, Mapping):
        return {str(name): _storable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_storable(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < _EXACT else str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
