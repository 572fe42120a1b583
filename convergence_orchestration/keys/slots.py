"""Which of a tenant's places for active keys is free: the decision behind "one active key, more if the plan allows".

What belongs here: decisions without I/O. Reading and claiming places is `slot_store.py`. Why a claim is safe: it names
what it found in the place, so of two that found the same one is refused; a claim that led to no key in LEASE may be
taken over, and nobody issues a key later than ISSUED_WITHIN after his claim.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.keys.model import KeyId, KeyRecord
from convergence_orchestration.keys.states import KeyState
from convergence_orchestration.tenancy.model import TenantId

LEASE = timedelta(minutes=10)
"""How long a place belongs to a key that is not issued yet."""

ISSUED_WITHIN = timedelta(minutes=5)
"""How long after its claim a key may be issued; what is left of LEASE is for the append and for clocks that differ."""

type Records = Mapping[KeyId, KeyRecord]


@dataclass(frozen=True)
class Slot:
    """One place as it was read; `claimed_at` is UTC. `replaces` is the key that `key_id` rotates."""

    number: int
    key_id: KeyId | None = None
    replaces: KeyId | None = None
    claimed_at: datetime | None = None


def holder(slot: Slot, records: Records, now: datetime) -> KeyId | None:
    """The key for which the place is kept at `now`; None if it is free.

    A place is free if nobody took it, if its key is over (revoked, expired, or in the overlap behind a rotation), or if
    its key was never issued in time. A rotation that came to nothing leaves the place to the key it was to replace.
    """
    if slot.key_id is None:
        return None
    record = records.get(slot.key_id)
    if record is not None:
        return slot.key_id if record.state(now) is KeyState.ACTIVE else None
    if _is_leased(slot, now):
        return slot.key_id
    replaced = records.get(slot.replaces) if slot.replaces else None
    return replaced.key_id if replaced and replaced.state(now) is KeyState.ACTIVE else None


def slot_to_issue(
    slots: Sequence[Slot], records: Records, wanted: KeyId, allowed: int, now: datetime
) -> Slot | None:
    """The place that `wanted` may claim: its own if it has one, else a free one; None if the tenant has keys enough.

    Args:
        slots: the tenant's places, each number once.
        records: the tenant's keys; those issued before there were places count as well.
        wanted: the key to be, not issued yet.
        allowed: how many active keys the plan allows.
        now: UTC.
    """
    own = next((slot for slot in slots if slot.key_id == wanted), None)
    others = holding(slots, records, now) - {wanted}
    if own is not None and holder(own, records, now) in {wanted, None} and len(others) < allowed:
        return own
    if len(others) >= allowed:
        return None
    free = (slot for slot in slots if slot.number <= allowed and holder(slot, records, now) is None)
    return min(free, key=lambda slot: slot.number, default=None)


def slot_to_rotate(slots: Sequence[Slot], old: KeyId, wanted: KeyId, now: datetime) -> Slot:
    """The place that `wanted` takes from `old`: the one that `old` has, or that an earlier rotation of it began to take.

    A key issued before there were places gets one of its own number, see `own_slot`.

    Raises:
        PermanentError: REQUEST_IN_PROGRESS while another rotation of the key goes on.
    """
    of_old = [slot for slot in slots if old in {slot.key_id, slot.replaces}]
    slot = min(of_old, key=lambda slot: slot.number, default=own_slot(old))
    if slot.key_id in {old, wanted} or not _is_leased(slot, now):
        return slot
    raise being_rotated(old)


def own_slot(key_id: KeyId) -> Slot:
    """The place of a key that was issued before there were places: the same number whoever reckons it."""
    number = int.from_bytes(sha256(key_id.encode()).digest()[:6])
    return Slot(1_000_000 + number, key_id)


def holding(slots: Sequence[Slot], records: Records, now: datetime) -> set[KeyId]:
    """The keys that count against the plan: those that have a place, and ACTIVE ones without."""
    kept = {key_id for slot in slots if (key_id := holder(slot, records, now)) is not None}
    replaced = {slot.replaces for slot in slots if slot.key_id in kept and slot.key_id not in records}
    active = {record.key_id for record in records.values() if record.state(now) is KeyState.ACTIVE}
    return kept | (active - replaced)


def keys_enough(tenant_id: TenantId, keys: set[KeyId], records: Records, allowed: int) -> PermanentError:
    """KEY_EXISTS, naming the keys there are and what to do; first of all with one that nobody has fetched yet."""
    issued = sorted((records[key] for key in keys if key in records), key=lambda each: each.issued_at)
    unfetched = [record for record in issued if record.delivered_at is None]
    details: dict[str, object] = {
        "tenant_id": tenant_id,
        "key_id": (unfetched or issued)[-1].key_id if issued else min(keys),
        "key_ids": sorted(keys),
        "allowed": allowed,
    }
    named = f"{tenant_id} may have {allowed} active and has {', '.join(sorted(keys))}"
    return PermanentError(ErrorCode.KEY_EXISTS, f"{_what_to_do(unfetched, issued, keys)}: {named}.", details)


def being_rotated(old: KeyId) -> PermanentError:
    """What to say to the later of two rotations."""
    return PermanentError(
        ErrorCode.REQUEST_IN_PROGRESS,
        f"Look at {old} in a moment (GET /api/v1/admin/api-keys/{old}): another request rotates it right now.",
        {"key_id": old},
    )


def _what_to_do(unfetched: list[KeyRecord], issued: list[KeyRecord], keys: set[KeyId]) -> str:
    if unfetched:
        path = f"/api/v1/admin/api-keys/{unfetched[-1].key_id}"
        return f"Reveal the tenant's key, POST {path}/reveal, or revoke it, DELETE {path}"
    if issued:
        path = f"/api/v1/admin/api-keys/{issued[-1].key_id}"
        return f"Revoke {issued[-1].key_id} first, DELETE {path}, or rotate it, POST {path}/rotate"
    return f"Wait until {min(keys)} is issued, or for ten minutes if that failed"


def _is_leased(slot: Slot, now: datetime) -> bool:
    return slot.claimed_at is not None and now < slot.claimed_at + LEASE
