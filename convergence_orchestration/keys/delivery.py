"""How a key reaches its caller: once. Deleting the sealed copy decides who that is, the ledger records it.

The order: open, record, wipe, hand over. Whatever fails before the copy is wiped can be tried again; of two callers at
once only the one whose statement deleted the copy gets the key. A key asked for with an Idempotency-Key keeps its copy
for ten minutes, during which that Idempotency-Key gets it again; the ledger's event says when they began.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import SecretStr

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.life import may_be_redelivered, refuse_delivery
from convergence_orchestration.keys.model import KeyEvent, KeyEventKind, KeyId, KeyRecord
from convergence_orchestration.keys.sealed_store import SealedKey
from convergence_orchestration.keys.shredding import shredded
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.keys.token import hash_of


@dataclass(frozen=True)
class Delivered:
    """A key in clear, for its caller alone, and its record."""

    api_key: SecretStr
    record: KeyRecord


@dataclass(frozen=True)
class Delivery:
    """Which key is handed over to whom; `is_its_request`: to the Idempotency-Key that it was asked for with."""

    key_id: KeyId
    actor: str
    request_id: str | None = None
    is_its_request: bool = False


def deliver(stores: KeyStores, kms: Kms, asked: Delivery, now: datetime) -> Delivered:
    """Hand over the key; its sealed copy is wiped, now or when its Idempotency-Key gets it no more.

    Raises:
        PermanentError: KEY_NOT_FOUND, KEY_ALREADY_DELIVERED (the second time), FAILED_PRECONDITION (revoked, expired, or
            fetched by nobody in time), INVALID_ARGUMENT (the stored copy is not what was sealed for this tenant and key).
        TransientError: as BigQuery, KMS and Secret Manager say; the copy is still there and the same call may be made
            again.
    """
    record = _issued(stores, asked.key_id)
    refuse_delivery(record, now)
    copies = stores.copies.store.of_key(asked.key_id)
    if not copies or not _may_get(record, copies[0], asked, now):
        raise shredded(asked.key_id)
    api_key = _opened(stores, kms, record, copies)
    if record.delivered_at is None:
        stores.ledger.append(_delivered_event(record, asked, now))
    is_kept = copies[0].is_repeatable and asked.is_its_request
    if not is_kept and not stores.copies.wipe_for_its_caller(asked.key_id):
        raise shredded(asked.key_id)
    return Delivered(api_key, replace(record, delivered_at=record.delivered_at or now))


def _opened(stores: KeyStores, kms: Kms, record: KeyRecord, copies: Sequence[SealedKey]) -> SecretStr:
    """The key that was issued; of two copies one may be what another try of it made, see `ledger_if_claimed.sql`."""
    for copy in copies:
        api_key = stores.copies.open(kms, copy)
        if hash_of(api_key.get_secret_value()) == record.key_hash:
            return api_key
    raise TransientError(
        ErrorCode.DATA_CORRUPTED,
        f"Try again, and if it stays so revoke {record.key_id}: its sealed copy is not the key that was issued.",
    )


def _may_get(record: KeyRecord, copy: SealedKey, asked: Delivery, now: datetime) -> bool:
    """Nobody has the key yet, or whoever asks is its Idempotency-Key within its ten minutes.

    A copy of a delivered key that is not repeatable is one whose wiping was cut off: nobody was handed that key.
    """
    if record.delivered_at is None or not copy.is_repeatable:
        return True
    return asked.is_its_request and may_be_redelivered(record, now)


def _issued(stores: KeyStores, key_id: KeyId) -> KeyRecord:
    record = stores.ledger.get(key_id)
    if record is None:
        raise PermanentError(
            ErrorCode.KEY_NOT_FOUND, f"Check the key id: no key {key_id} was issued.", {"key_id": key_id}
        )
    return record


def _delivered_event(record: KeyRecord, asked: Delivery, now: datetime) -> KeyEvent:
    return KeyEvent(
        key_id=record.key_id,
        tenant_id=record.tenant_id,
        kind=KeyEventKind.DELIVERED,
        environment=record.environment,
        recorded_at=now,
        actor=asked.actor,
        request_id=asked.request_id,
    )
