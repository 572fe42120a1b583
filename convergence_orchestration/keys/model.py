"""What a key is once it is only a hash: ids, scopes, events, records and the states that follow from them.

What belongs here: types and decisions without I/O. Nothing here ever holds a key in clear.
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import NewType

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.keys.base62 import ALPHABET, encoded
from convergence_orchestration.keys.states import ACCEPTED_STATES, KeyState
from convergence_orchestration.settings import Environment
from convergence_orchestration.tenancy.model import TenantId, checked_text

KeyId = NewType("KeyId", str)

KEY_ID_PATTERN = r"^key_[0-9A-Za-z]{20}$"
KEY_HASH_PATTERN = r"^[0-9a-f]{64}$"
MAX_KEY_DESCRIPTION_LENGTH = 500
_KEY_ID_DIGITS = 20


class Scope(StrEnum):
    """What a tenant's key may be used for."""

    PIPELINES_READ = "pipelines:read"
    PIPELINES_WRITE = "pipelines:write"
    TABLES_READ = "tables:read"
    USAGE_READ = "usage:read"


ALL_SCOPES: tuple[Scope, ...] = tuple(Scope)


class KeyEventKind(StrEnum):
    """What can happen to a key."""

    ISSUED = "ISSUED"
    DELIVERED = "DELIVERED"
    ROTATED = "ROTATED"
    REVOKED = "REVOKED"


@dataclass(frozen=True)
class KeyEvent:
    """One thing that happened to a key; times are UTC. `event_id` makes a repeated append harmless."""

    key_id: KeyId
    tenant_id: TenantId
    kind: KeyEventKind
    environment: Environment
    recorded_at: datetime
    actor: str
    key_hash: str | None = None
    description: str = ""
    scopes: tuple[Scope, ...] = ()
    expires_at: datetime | None = None
    overlap_ends_at: datetime | None = None
    successor_key_id: KeyId | None = None
    kms_key_version: str | None = None
    request_id: str | None = None
    run_id: str | None = None

    @property
    def event_id(self) -> str:
        """`<key>.<kind>`: each happens to a key once."""
        return f"{self.key_id}.{self.kind}"


@dataclass(frozen=True)
class KeyRecord:
    """A key as its events say; times are UTC, `key_hash` is SHA-256 in hexadecimal.

    `rotated_at`, `overlap_ends_at` and `successor_key_id` are set once it is rotated; `actor` and `run_id` issued it.
    """

    key_id: KeyId
    tenant_id: TenantId
    key_hash: str
    environment: Environment
    description: str
    scopes: tuple[Scope, ...]
    issued_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    delivered_at: datetime | None = None
    overlap_ends_at: datetime | None = None
    rotated_at: datetime | None = None
    successor_key_id: KeyId | None = None
    actor: str = ""
    run_id: str | None = None

    @property
    def ends_at(self) -> datetime | None:
        """When it ends or ended, whatever ends it first; None for a key without an end."""
        ends = (self.revoked_at, self.expires_at, self.overlap_ends_at)
        return min((end for end in ends if end is not None), default=None)

    def state(self, now: datetime) -> KeyState:
        """The state at `now`; a key ends at the very instant that `expires_at` or `overlap_ends_at` names."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return KeyState.EXPIRED
        if self.overlap_ends_at is None:
            return KeyState.ACTIVE
        return KeyState.ROTATING if now < self.overlap_ends_at else KeyState.EXPIRED

    def is_accepted(self, now: datetime) -> bool:
        """A caller with this key is let in at `now`."""
        return self.state(now) in ACCEPTED_STATES


def record_of(events: Iterable[KeyEvent]) -> KeyRecord | None:
    """The record that one key's events add up to, in whatever order they arrived; None before it was issued.

    Appends from many writers have no global order, so a revocation can be read before the issue: each fact is taken
    from the earliest event of its kind.
    """
    first: dict[KeyEventKind, KeyEvent] = {}
    for event in sorted(events, key=lambda each: (each.recorded_at, each.event_id)):
        first.setdefault(event.kind, event)
    issued = first.get(KeyEventKind.ISSUED)
    if issued is None or issued.key_hash is None:
        return None
    rotated = first.get(KeyEventKind.ROTATED)
    return KeyRecord(
        key_id=issued.key_id,
        tenant_id=issued.tenant_id,
        key_hash=issued.key_hash,
        environment=issued.environment,
        description=issued.description,
        scopes=issued.scopes,
        issued_at=issued.recorded_at,
        expires_at=issued.expires_at,
        revoked_at=_time_of(first.get(KeyEventKind.REVOKED)),
        delivered_at=_time_of(first.get(KeyEventKind.DELIVERED)),
        overlap_ends_at=rotated.overlap_ends_at if rotated else None,
        rotated_at=_time_of(rotated),
        successor_key_id=rotated.successor_key_id if rotated else None,
        actor=issued.actor,
        run_id=issued.run_id,
    )


def new_key_id() -> KeyId:
    """A fresh key id, 119 random bits; nothing of the key is in it."""
    return KeyId("key_" + "".join(secrets.choice(ALPHABET) for _ in range(_KEY_ID_DIGITS)))


def key_id_of_run(root_run_id: str) -> KeyId:
    """The key that a run started by hand issues; retries and re-executions have the same root run, so the same key."""
    return _derived(f"dagster-run:{root_run_id}")


def key_id_of_request(doing: str, actor: str, idempotency_key: str) -> KeyId:
    """The key that a caller's Idempotency-Key stands for, in every process; `doing` is `issue` or `rotate`."""
    return _derived(f"idempotency-key:{doing}:{actor}:{idempotency_key}")


def parse_key_id(value: str) -> KeyId:
    """The key id that `value` is.

    Raises:
        PermanentError: INVALID_ARGUMENT; the message does not repeat the value, which could be a key.
    """
    if not re.fullmatch(KEY_ID_PATTERN, value):
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            "Give a key id as it was answered when the key was issued: key_ and 20 letters and digits.",
            {"field": "key_id", "pattern": KEY_ID_PATTERN},
        )
    return KeyId(value)


def parse_scopes(values: Iterable[str]) -> tuple[Scope, ...]:
    """The scopes named, each once and in the order of `Scope`; none named means all.

    Raises:
        PermanentError: INVALID_ARGUMENT, naming the scopes there are.
    """
    asked = set(values)
    if not asked <= set(Scope):
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Choose scopes from {', '.join(Scope)}.",
            {"field": "scopes", "scopes": [str(scope) for scope in Scope]},
        )
    return tuple(scope for scope in Scope if scope in asked) or ALL_SCOPES


def parse_expiry(value: str, now: datetime) -> datetime | None:
    """The instant that `value` (ISO 8601 with its offset) names, in UTC; None if `value` is empty.

    Raises:
        PermanentError: INVALID_ARGUMENT: not such a time, or not after `now`.
    """
    if not value:
        return None
    instant = _instant(value)
    if instant is None or instant <= now:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            "Give expires_at as a time to come in ISO 8601 with its offset, for example 2030-01-31T00:00:00Z, "
            "or leave it empty.",
            {"field": "expires_at"},
        )
    return instant


def parse_grace(seconds: int, longest: int) -> timedelta:
    """How long a rotated key still works; 0 ends it at once.

    Raises:
        PermanentError: INVALID_ARGUMENT: negative, or more than `longest` seconds.
    """
    if not 0 <= seconds <= longest:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Give grace_seconds from 0 to {longest}.",
            {"field": "grace_seconds", "longest": longest},
        )
    return timedelta(seconds=seconds)


def checked_description(text: str) -> str:
    """`text` if it is short enough and has no control characters.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    return checked_text("description", text, MAX_KEY_DESCRIPTION_LENGTH)


def _derived(text: str) -> KeyId:
    number = int.from_bytes(sha256(text.encode()).digest())
    return KeyId("key_" + encoded(number % len(ALPHABET) ** _KEY_ID_DIGITS, _KEY_ID_DIGITS))


def _instant(value: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(value)
        return parsed.astimezone(UTC) if parsed.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _time_of(event: KeyEvent | None) -> datetime | None:
    return event.recorded_at if event else None
