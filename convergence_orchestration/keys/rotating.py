"""How a key is rotated: a new one takes its place, and for a while both are accepted.

The place decides: of two rotations of one key only the one that takes its place goes on. The new key's issue and the old
one's rotation are one append of two rows, so there is never the one without the other.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.copies import reused
from convergence_orchestration.keys.issuing import (
    Clock,
    NewKey,
    in_time,
    issued_event,
    refuse_unless_active,
    refuse_unless_same,
    revoke_if_leaving,
    until_written,
    written,
)
from convergence_orchestration.keys.life import refuse_rotation
from convergence_orchestration.keys.model import (
    KeyEvent,
    KeyEventKind,
    KeyId,
    KeyRecord,
    Scope,
)
from convergence_orchestration.keys.sealing import Place
from convergence_orchestration.keys.slot_store import Claim, claimed
from convergence_orchestration.keys.slots import Slot, slot_to_rotate
from convergence_orchestration.keys.stores import KeyStores


@dataclass(frozen=True)
class Rotation:
    """Which key is rotated into which, by whom and in which run; None means as the old key has it.

    Attributes:
        grace: how long the old key still works; zero ends it at once.
        expires_at: when the new key ends, UTC; None: never, whatever the old one's end was.
        is_repeatable: it was asked for with an Idempotency-Key, which gets the new key again for ten minutes.
    """

    key_id: KeyId
    new_key_id: KeyId
    grace: timedelta
    actor: str
    description: str | None = None
    scopes: tuple[Scope, ...] | None = None
    expires_at: datetime | None = None
    request_id: str | None = None
    run_id: str | None = None
    is_repeatable: bool = False


@dataclass(frozen=True)
class Rotated:
    """Both keys behind a rotation."""

    old: KeyRecord
    new: KeyRecord


def rotate(stores: KeyStores, kms: Kms, asked: Rotation, clock: Clock) -> Rotated:
    """Rotate the key, or finish what an earlier try with the same new key id began.

    Raises:
        PermanentError: KEY_NOT_FOUND, FAILED_PRECONDITION (revoked, expired or rotated before), REQUEST_IN_PROGRESS
            (another rotation of it goes on), TENANT_NOT_ACTIVE, IDEMPOTENCY_KEY_REUSED.
        TransientError: as BigQuery, KMS and Secret Manager say; the same call continues.
    """
    return until_written(asked.new_key_id, partial(_rotated_once, stores, kms, asked, clock))


def _rotated_once(stores: KeyStores, kms: Kms, asked: Rotation, clock: Clock) -> Rotated | None:
    old = record_to_rotate(stores, asked.key_id)
    wanted = new_key_of(asked, old)
    claim = claimed(
        stores.slots,
        partial(_place, stores, asked, wanted),
        lambda: Claim(old.tenant_id, asked.new_key_id, clock(), replaces=asked.key_id),
    )
    if isinstance(claim, KeyRecord):
        return Rotated(record_to_rotate(stores, asked.key_id), claim)
    place = Place(wanted.tenant_id, wanted.key_id, wanted.environment)
    sealed = stores.copies.ensure(kms, place, clock(), is_repeatable=asked.is_repeatable)
    now = in_time(claim, clock)
    refuse_rotation(old, now)  # it may have expired meanwhile
    rotated = _rotated_event(old, asked, now)
    record = written(stores, claim, issued_event(wanted, sealed, now), rotated)
    if record is None:
        return None
    revoke_if_leaving(stores, record, clock)
    after = replace(
        old, overlap_ends_at=rotated.overlap_ends_at, rotated_at=now, successor_key_id=asked.new_key_id
    )
    return Rotated(after, record)


def record_to_rotate(stores: KeyStores, key_id: KeyId) -> KeyRecord:
    """The record of the key.

    Raises:
        PermanentError: KEY_NOT_FOUND.
    """
    record = stores.ledger.get(key_id)
    if record is None:
        raise PermanentError(
            ErrorCode.KEY_NOT_FOUND, f"Check the key id: no key {key_id} was issued.", {"key_id": key_id}
        )
    return record


def new_key_of(asked: Rotation, old: KeyRecord) -> NewKey:
    """The key that is to replace `old`: what is not asked for, it has from that."""
    return NewKey(
        key_id=asked.new_key_id,
        tenant_id=old.tenant_id,
        environment=old.environment,
        actor=asked.actor,
        description=old.description if asked.description is None else asked.description,
        scopes=old.scopes if asked.scopes is None else asked.scopes,
        expires_at=asked.expires_at,
        request_id=asked.request_id,
        run_id=asked.run_id,
        is_repeatable=asked.is_repeatable,
    )


def refuse_unless_same_rotation(old: KeyRecord, new: KeyRecord, asked: Rotation) -> None:
    """Let the same question pass that `new` was issued for.

    Raises:
        PermanentError: IDEMPOTENCY_KEY_REUSED.
    """
    refuse_unless_same(new, new_key_of(asked, old))
    if old.successor_key_id != new.key_id or old.rotated_at is None or old.overlap_ends_at is None:
        raise reused(new.key_id)
    if old.overlap_ends_at - old.rotated_at != asked.grace:
        raise reused(new.key_id)


def place_to_rotate(stores: KeyStores, asked: Rotation, now: datetime) -> Slot | KeyRecord:
    """The place that the new key may claim at `now`, or its record if the rotation was done before. Raises as `rotate`."""
    return _place(stores, asked, new_key_of(asked, record_to_rotate(stores, asked.key_id)), now)


def _place(stores: KeyStores, asked: Rotation, wanted: NewKey, now: datetime) -> Slot | KeyRecord:
    standing = stores.slots.standing(wanted.tenant_id)
    records = stores.ledger.known(wanted.tenant_id, wanted.key_id)
    old = records[asked.key_id]
    if (issued := records.get(wanted.key_id)) is not None:
        refuse_unless_same_rotation(old, issued, asked)
        return issued
    there = refuse_unless_active(standing, wanted.tenant_id)
    refuse_rotation(old, now)
    return slot_to_rotate(there.slots, asked.key_id, wanted.key_id, now)


def _rotated_event(old: KeyRecord, asked: Rotation, now: datetime) -> KeyEvent:
    return KeyEvent(
        key_id=old.key_id,
        tenant_id=old.tenant_id,
        kind=KeyEventKind.ROTATED,
        environment=old.environment,
        recorded_at=now,
        actor=asked.actor,
        overlap_ends_at=now + asked.grace,
        successor_key_id=asked.new_key_id,
        request_id=asked.request_id,
        run_id=asked.run_id,
    )
