"""What an audit row says, before and after it has its place in its writer's chain.

What belongs here: types and the texts that a row may hold. Hashes are `chain.py`, writing is `writer.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from convergence_orchestration.errors import ErrorCode

MAX_TEXT = 500
"""Characters of one text of a row; what is longer is cut: callers choose some of these texts."""

MAX_DETAILS = 200_000
"""Characters of the details: a thousand anchors. BigQuery takes 10 MB in one append."""

OPENED = "audit.opened"
CLOSED = "audit.closed"
ANCHORS = "anchors"
"""Under this name the details of an OPENED row hold the heads of other chains."""


class ActorKind(StrEnum):
    """What kind of somebody acts."""

    ADMIN_KEY = "ADMIN_KEY"
    TENANT_KEY = "TENANT_KEY"
    OPERATOR = "OPERATOR"
    SYSTEM = "SYSTEM"


class Outcome(StrEnum):
    """How it ended; ATTEMPTED is written before it begins, and alone it says that nobody knows how it ended."""

    ATTEMPTED = "ATTEMPTED"
    SUCCEEDED = "SUCCEEDED"
    REFUSED = "REFUSED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Actor:
    """Who acts: an administrator's name, a key's id, `dagster-ui`; never a key."""

    kind: ActorKind
    name: str


@dataclass(frozen=True)
class Target:
    """What it is done to, for example a tenant and its id."""

    kind: str
    id: str | None = None


@dataclass(frozen=True)
class AuditEntry:
    """One thing that somebody did, as it is to be recorded. No text of it is a key or a key's whole hash.

    Attributes:
        path: of an HTTP call, without its query, as `api.context.loggable_path` gives it.
        source_address: where the call came from.
        details: further facts, JSON-serialisable and never secret.
        recorded_at: when it happened, UTC; None for the moment at which it is written.
    """

    action: str
    actor: Actor
    outcome: Outcome
    target: Target | None = None
    tenant_id: str | None = None
    error_code: ErrorCode | None = None
    method: str | None = None
    path: str | None = None
    status_code: int | None = None
    source_address: str | None = None
    details: Mapping[str, object] = field(default_factory=dict)
    request_id: str | None = None
    run_id: str | None = None
    recorded_at: datetime | None = None


class AuditSink(Protocol):
    """What records entries: a trail, or a list in a test."""

    @property
    def actor_kind(self) -> ActorKind:
        """What kind of somebody acts through it."""

    def append(self, *entries: AuditEntry) -> None:
        """Record them all, or raise."""


@dataclass(frozen=True)
class ChainedRow:
    """A row of `tenants.audit_log`, column by column; `recorded_at` is UTC."""

    event_id: str
    action: str
    actor_kind: str
    actor: str | None
    target_kind: str | None
    target_id: str | None
    tenant_id: str | None
    outcome: str
    error_code: str | None
    method: str | None
    path: str | None
    status_code: int | None
    source_address: str | None
    details: str | None
    environment: str
    request_id: str | None
    run_id: str | None
    writer_id: str
    sequence: int
    previous_hash: str | None
    row_hash: str
    recorded_at: datetime


@dataclass(frozen=True, order=True)
class Head:
    """The last row of a chain as somebody saw it."""

    writer_id: str
    sequence: int
    row_hash: str


def plain_text(text: str | None, most: int = MAX_TEXT) -> str | None:
    """`text` as it is read back from any store: printable characters alone, cut; None for nothing."""
    if not text:
        return None
    return "".join(character if character.isprintable() else "?" for character in text[:most])


def utc(instant: datetime) -> datetime:
    """The same instant in UTC."""
    return instant.astimezone(UTC)
