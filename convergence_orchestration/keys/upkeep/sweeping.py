"""Which sealed copies nobody may fetch any more, and wiping them with the bytes that open them.

A key that nobody fetched is revoked before its copy goes: else it would hold its tenant's place, active, and nobody could
ever have it. What belongs here: the decision (pure) and the one pass that carries it out; repeated, it changes nothing more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from convergence_orchestration.keys.copies import KEPT_FOR
from convergence_orchestration.keys.ledger import KeyEvents
from convergence_orchestration.keys.life import FETCHED_WITHIN, is_nobodys, may_be_redelivered
from convergence_orchestration.keys.model import KeyEvent, KeyId, KeyRecord
from convergence_orchestration.keys.revoking import Revocation, revoked_event
from convergence_orchestration.keys.sealed_store import CopyFacts, SealedKeys
from convergence_orchestration.keys.shredding import Shreddable
from convergence_orchestration.keys.stores import KeyStores

ORPHANED_AFTER = timedelta(days=1)
"""How long bytes without a copy stay: a run that is killed between making them and storing its copy is retried."""


@dataclass(frozen=True)
class Due:
    """A copy to be wiped, and why, for a person; `unfetched` is its key if that ends with it."""

    key_id: KeyId
    reason: str
    unfetched: KeyRecord | None = None


@dataclass(frozen=True)
class Sweeper:
    """Who sweeps, for the ledger, and in which run."""

    actor: str
    run_id: str | None = None


@dataclass(frozen=True)
class Swept:
    """What a pass wiped: copies with their reasons, and keys whose bytes had no copy."""

    wiped: tuple[Due, ...]
    shredded: tuple[KeyId, ...]

    @property
    def ended(self) -> tuple[KeyRecord, ...]:
        """The keys that it revoked, as they were before."""
        return tuple(each.unfetched for each in self.wiped if each.unfetched is not None)


def due_copies(
    copies: Iterable[CopyFacts], records: Mapping[KeyId, KeyRecord], now: datetime
) -> tuple[Due, ...]:
    """The copies that nobody may fetch any more at `now`."""
    found = (_due(copy, records.get(copy.key_id), now) for copy in copies)
    return tuple(due for due in found if due is not None)


def orphaned(secrets: Iterable[Shreddable], copies: Iterable[CopyFacts], now: datetime) -> tuple[KeyId, ...]:
    """The keys whose bytes have had no copy for longer than it takes to make one."""
    stored = {copy.key_id for copy in copies}
    return tuple(
        each.key_id
        for each in secrets
        if each.key_id not in stored and each.created_at + ORPHANED_AFTER <= now
    )


def what_is_due(sealed: SealedKeys, ledger: KeyEvents, now: datetime) -> tuple[Due, ...]:
    """The copies to be wiped. Without any copy this costs nothing: only then the ledger is asked."""
    copies = sealed.all()
    if not copies:
        return ()
    return due_copies(copies, ledger.of_keys(*(copy.key_id for copy in copies)), now)


def sweep(stores: KeyStores, by: Sweeper, now: datetime) -> Swept:
    """Revoke the keys that nobody fetched, wipe what is due, and delete bytes whose copies are gone.

    Cut off behind a revocation, the next pass finds a revoked key's copy. Errors are those of BigQuery, Secret Manager and
    the audit log.
    """
    due = what_is_due(stores.copies.store, stores.ledger, now)
    if events := [_ended(each, each.unfetched, by, now) for each in due if each.unfetched is not None]:
        stores.ledger.append(*events)
    if due:
        stores.copies.wipe(*(each.key_id for each in due))
    secrets = stores.copies.shredder.all()  # read before the copies: bytes are made before their copy
    orphans = orphaned(secrets, stores.copies.store.all(), now)
    stores.copies.shredder.shred(orphans)
    return Swept(due, orphans)


def _ended(due: Due, record: KeyRecord, by: Sweeper, now: datetime) -> KeyEvent:
    return revoked_event(record, Revocation(due.key_id, by.actor, due.reason, run_id=by.run_id), now)


def _due(copy: CopyFacts, record: KeyRecord | None, now: datetime) -> Due | None:
    if record is None:
        return Due(copy.key_id, "the key was never issued") if copy.sealed_at + KEPT_FOR <= now else None
    if is_nobodys(record, now):
        return Due(copy.key_id, f"nobody fetched the key within {FETCHED_WITHIN.days} days", unfetched=record)
    reason = _reason(copy, record, now)
    return None if reason is None else Due(copy.key_id, reason)


def _reason(copy: CopyFacts, record: KeyRecord, now: datetime) -> str | None:
    """Why the copy of a key goes that stays as it is."""
    if not record.is_accepted(now):
        return f"the key is {record.state(now)}"
    if record.delivered_at is None:
        return None
    if copy.is_repeatable and not may_be_redelivered(record, now):
        return "the time in which it is handed over again is over"
    return "its delivery was cut off" if record.delivered_at + KEPT_FOR <= now else None
