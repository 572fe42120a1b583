"""How a tenant's key is issued: a place claimed, the key made and sealed, and only then written into the ledger by its hash.

Each step finds what an earlier try did, so the same key id can be issued again and again and is one key. Nobody is
handed the key in clear here, see `delivery.py`; rotating is `rotating.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.copies import Sealed, reused
from convergence_orchestration.keys.model import (
    ALL_SCOPES,
    KeyEvent,
    KeyEventKind,
    KeyId,
    KeyRecord,
    Scope,
    record_of,
)
from convergence_orchestration.keys.revoking import Revocation, revoke
from convergence_orchestration.keys.sealing import Place
from convergence_orchestration.keys.slot_store import Claim, Standing, claimed
from convergence_orchestration.keys.slots import ISSUED_WITHIN, Slot, holding, keys_enough, slot_to_issue
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.settings import Environment
from convergence_orchestration.tenancy.model import TenantId, TenantState

type Clock = Callable[[], datetime]

_TRIES = 4

_LEAVING = frozenset({TenantState.OFFBOARDING, TenantState.DELETED})


@dataclass(frozen=True)
class NewKey:
    """What was asked for when a key was asked for, by whom and in which run; `expires_at` is UTC.

    `is_repeatable`: it was asked for with an Idempotency-Key, which gets it again for ten minutes.
    """

    key_id: KeyId
    tenant_id: TenantId
    environment: Environment
    actor: str
    description: str = ""
    scopes: tuple[Scope, ...] = ALL_SCOPES
    expires_at: datetime | None = None
    request_id: str | None = None
    run_id: str | None = None
    is_repeatable: bool = False


def issue(stores: KeyStores, kms: Kms, asked: NewKey, clock: Clock) -> KeyRecord:
    """Issue the key, or finish what an earlier try of the same key id began; its record.

    Raises:
        PermanentError: TENANT_NOT_FOUND, TENANT_NOT_ACTIVE, KEY_EXISTS (the tenant has as many active keys as its plan
            allows, named in the details), IDEMPOTENCY_KEY_REUSED (the key id was used for something else).
        TransientError: as BigQuery, KMS and Secret Manager say; the same call continues.
    """
    return until_written(asked.key_id, partial(_issued_once, stores, kms, asked, clock))


def until_written[T](key_id: KeyId, attempt: Callable[[], T | None]) -> T:
    """What the first attempt gives that no other try of the same key, in another process, has overtaken.

    Raises:
        TransientError: UNAVAILABLE after many that were.
    """
    for _ in range(_TRIES):
        if (done := attempt()) is not None:
            return done
    raise TransientError(
        ErrorCode.UNAVAILABLE, f"Try again: {key_id} is being issued elsewhere.", {"key_id": key_id}
    )


def place_to_issue(stores: KeyStores, asked: NewKey, now: datetime) -> Slot | KeyRecord:
    """The place that the key may claim at `now`, or its record if it was issued before. Raises as `issue`."""
    standing = stores.slots.standing(asked.tenant_id)
    records = stores.ledger.known(asked.tenant_id, asked.key_id)
    if (issued := records.get(asked.key_id)) is not None:
        refuse_unless_same(issued, asked)
        return issued
    there = refuse_unless_active(standing, asked.tenant_id)
    slot = slot_to_issue(there.places, records, asked.key_id, there.allowed, now)
    if slot is None:
        keys = holding(there.slots, records, now) - {asked.key_id}
        raise keys_enough(asked.tenant_id, keys, records, there.allowed)
    return slot


def refuse_unless_same(issued: KeyRecord, asked: NewKey) -> None:
    """Let the same question pass that the key was issued for.

    Raises:
        PermanentError: IDEMPOTENCY_KEY_REUSED.
    """
    found = (issued.tenant_id, issued.description, issued.scopes, issued.expires_at)
    if found != (asked.tenant_id, asked.description, asked.scopes, asked.expires_at):
        raise reused(asked.key_id)


def refuse_unless_active(standing: Standing | None, tenant_id: TenantId) -> Standing:
    """The standing of an ACTIVE tenant.

    Raises:
        PermanentError: TENANT_NOT_FOUND, TENANT_NOT_ACTIVE.
    """
    if standing is None:
        raise PermanentError(
            ErrorCode.TENANT_NOT_FOUND,
            f"Onboard {tenant_id} first (POST /api/v1/admin/tenants or the job `onboard_tenant`): there is no such tenant.",
            {"tenant_id": tenant_id},
        )
    if standing.state is not TenantState.ACTIVE:
        raise PermanentError(
            ErrorCode.TENANT_NOT_ACTIVE,
            f"Make {tenant_id} active first: it is {standing.state}, and only an active tenant gets keys.",
            {"tenant_id": tenant_id, "state": str(standing.state)},
        )
    return standing


def in_time(claim: Claim, clock: Clock) -> datetime:
    """The time now, at which the key may still be issued: later, its place could be somebody else's.

    Raises:
        TransientError: UNAVAILABLE once it is too late; the next try claims the place again.
    """
    now = clock()
    if now <= claim.claimed_at + ISSUED_WITHIN:
        return now
    minutes = ISSUED_WITHIN.total_seconds() / 60
    raise TransientError(
        ErrorCode.UNAVAILABLE,
        f"Try again: making {claim.key_id} took longer than {minutes:g} minutes, and nothing was issued.",
        {"key_id": claim.key_id},
    )


def issued_event(asked: NewKey, sealed: Sealed, now: datetime) -> KeyEvent:
    """The event by which the key comes into being."""
    return KeyEvent(
        key_id=asked.key_id,
        tenant_id=asked.tenant_id,
        kind=KeyEventKind.ISSUED,
        environment=asked.environment,
        recorded_at=now,
        actor=asked.actor,
        key_hash=sealed.key_hash,
        description=asked.description,
        scopes=asked.scopes,
        expires_at=asked.expires_at,
        kms_key_version=sealed.kms_key_version,
        request_id=asked.request_id,
        run_id=asked.run_id,
    )


def written(stores: KeyStores, claim: Claim, issued: KeyEvent, *others: KeyEvent) -> KeyRecord | None:
    """Write down the issue, and what happens with it: the new key's record, or None if the claim was overtaken."""
    return record_of([issued]) if stores.ledger.issue(claim, issued, *others) else None


def revoke_if_leaving(stores: KeyStores, record: KeyRecord, clock: Clock) -> None:
    """Take the key back if its tenant began to leave meanwhile: leaving has revoked the keys that it saw.

    Raises:
        PermanentError: TENANT_NOT_ACTIVE.
    """
    standing = stores.slots.standing(record.tenant_id)
    if standing is None or standing.state not in _LEAVING:
        return
    reason = "The tenant began to leave while the key was issued."
    revoke(stores, Revocation(record.key_id, record.actor, reason, run_id=record.run_id), clock())
    refuse_unless_active(standing, record.tenant_id)


def _issued_once(stores: KeyStores, kms: Kms, asked: NewKey, clock: Clock) -> KeyRecord | None:
    claim = claimed(
        stores.slots,
        partial(place_to_issue, stores, asked),
        lambda: Claim(asked.tenant_id, asked.key_id, clock()),
    )
    if isinstance(claim, KeyRecord):
        return claim
    place = Place(asked.tenant_id, asked.key_id, asked.environment)
    sealed = stores.copies.ensure(kms, place, clock(), is_repeatable=asked.is_repeatable)
    record = written(stores, claim, issued_event(asked, sealed, in_time(claim, clock)))
    if record is not None:
        revoke_if_leaving(stores, record, clock)
    return record
