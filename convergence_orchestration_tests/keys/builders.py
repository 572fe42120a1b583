"""Key events and records for tests; every argument has a value that most tests do not care about."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from convergence_orchestration.keys.issuing import NewKey
from convergence_orchestration.keys.model import ALL_SCOPES, KeyEvent, KeyEventKind, KeyId, KeyRecord
from convergence_orchestration.keys.token import hash_of
from convergence_orchestration.settings import Environment
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.audit.builders import ListSink

AUDIT = ListSink()
"""What tests that are not about it record into."""

T0 = datetime(2026, 11, 20, 12, tzinfo=UTC)
ACME = TenantId("acme")
DEVELOPMENT = Environment.DEVELOPMENT


def seconds(number: float) -> datetime:
    return T0 + timedelta(seconds=number)


def at(number: float) -> Callable[[], datetime]:
    """A clock that stands still at so many seconds."""
    return lambda: seconds(number)


def key_id(number: int = 1) -> KeyId:
    return KeyId(f"key_{number:020d}")


def issued(
    number: int = 1,
    at: float = 0,
    text: str | None = None,
    expires: float | None = None,
    tenant_id: TenantId = ACME,
) -> KeyEvent:
    """The event of a key whose text is `text`."""
    return KeyEvent(
        key_id=key_id(number),
        tenant_id=tenant_id,
        kind=KeyEventKind.ISSUED,
        environment=DEVELOPMENT,
        recorded_at=seconds(at),
        actor="somebody",
        key_hash=hash_of(text or f"key {number}"),
        description="nightly import",
        scopes=ALL_SCOPES,
        expires_at=None if expires is None else seconds(expires),
        kms_key_version="projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
        request_id="request",
        run_id="run",
    )


def happened(
    kind: KeyEventKind, number: int = 1, at: float = 0, overlap_ends: float | None = None
) -> KeyEvent:
    return KeyEvent(
        key_id=key_id(number),
        tenant_id=ACME,
        kind=kind,
        environment=DEVELOPMENT,
        recorded_at=seconds(at),
        actor="somebody",
        overlap_ends_at=None if overlap_ends is None else seconds(overlap_ends),
        successor_key_id=None if overlap_ends is None else key_id(99),
    )


def record(
    text: str = "key 1",
    environment: Environment = DEVELOPMENT,
    expires: float | None = None,
    revoked: float | None = None,
    overlap_ends: float | None = None,
) -> KeyRecord:
    return KeyRecord(
        key_id=key_id(),
        tenant_id=ACME,
        key_hash=hash_of(text),
        environment=environment,
        description="",
        scopes=ALL_SCOPES,
        issued_at=T0,
        expires_at=None if expires is None else seconds(expires),
        revoked_at=None if revoked is None else seconds(revoked),
        overlap_ends_at=None if overlap_ends is None else seconds(overlap_ends),
    )


def new_key(key_id: KeyId, tenant_id: TenantId, expires: float | None = None) -> NewKey:
    return NewKey(
        key_id=key_id,
        tenant_id=tenant_id,
        environment=DEVELOPMENT,
        actor="somebody",
        description="nightly import",
        expires_at=None if expires is None else seconds(expires),
        request_id="request",
        run_id="run",
    )
