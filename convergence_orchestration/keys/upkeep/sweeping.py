"""Which sealed copies nobody may fetch any more, and wiping them with the bytes that open them.

What belongs here: the decision (pure) and the one pass that carries it out; repeated, it changes nothing more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from convergence_orchestration.keys.ledger import KeyEvents
from convergence_orchestration.keys.life import may_be_redelivered
from convergence_orchestration.keys.model import KeyId, KeyRecord
from convergence_orchestration.keys.sealed_store import CopyFacts, SealedKeys
from convergence_orchestration.keys.shredding import Shreddable
from convergence_orchestration.keys.stores import KeyStores

KEPT_FOR = timedelta(days=7)
"""How long a copy waits for a key to be issued, or to be fetched."""

ORPHANED_AFTER = timedelta(days=1)
"""How long bytes without a copy stay: a run that is killed between making them and storing its copy is retried."""


@dataclass(frozen=True)
class Due:
    """A copy to be wiped, and why, for a person."""

    key_id: KeyId
    reason: str


@dataclass(frozen=True)
class Swept:
    """What a pass wiped: copies with their reasons, and keys whose bytes had no copy."""

    wiped: tuple[Due, ...]
    shredded: tuple[KeyId, ...]


def due_copies(
    copies: Iterable[CopyFacts], records: Mapping[KeyId, KeyRecord], now: datetime
) -> tuple[Due, ...]:
    """The copies that nobody may fetch any more at `now`."""
    reasons = ((copy.key_id, _reason(copy, records.get(copy.key_id), now)) for copy in copies)
    return tuple(Due(key_id, reason) for key_id, reason in reasons if reason is not None)


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


def sweep(stores: KeyStores, now: datetime) -> Swept:
    """Wipe what is due, and delete bytes whose copies are gone. Errors are those of BigQuery and Secret Manager."""
    due = what_is_due(stores.copies.store, stores.ledger, now)
    if due:
        stores.copies.wipe(*(each.key_id for each in due))
    secrets = stores.copies.shredder.all()  # read before the copies: bytes are made before their copy
    orphans = orphaned(secrets, stores.copies.store.all(), now)
    stores.copies.shredder.shred(orphans)
    return Swept(due, orphans)


def _reason(copy: CopyFacts, record: KeyRecord | None, now: datetime) -> str | None:
    if record is not None and not record.is_accepted(now):
        return f"the key is {record.state(now)}"
    if record is not None and copy.is_repeatable and not may_be_redelivered(record, now):
        return "the time in which it is handed over again is over"
    if copy.sealed_at + KEPT_FOR > now:
        return None
    return "the key was never issued" if record is None else "nobody fetched the key"
