"""How a key reaches its caller: once. Deleting the sealed copy decides who that is, the ledger records it.

The order: open, record, wipe, hand over. Whatever fails before the copy is wiped can be tried again; of two callers at
once only the one whose statement deleted the copy gets the key.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import SecretStr

from convergence_orchestration.audit.model import AuditSink
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.ledger import KeyLedger
from convergence_orchestration.keys.model import KeyEvent, KeyEventKind, KeyId, KeyRecord
from convergence_orchestration.keys.sealed_store import SealedKeys
from convergence_orchestration.keys.sealing import unseal
from convergence_orchestration.keys.token import hash_of


@dataclass(frozen=True)
class Delivered:
    """A key in clear, for its caller alone, and its record."""

    api_key: SecretStr
    record: KeyRecord


def deliver(
    bigquery: BigQuery,
    kms: Kms,
    key_id: KeyId,
    *,
    actor: str,
    now: datetime,
    audit: AuditSink,
    request_id: str | None = None,
) -> Delivered:
    """Hand over the key and wipe its sealed copy.

    Raises:
        PermanentError: KEY_NOT_FOUND, KEY_ALREADY_DELIVERED (the second time), FAILED_PRECONDITION (revoked or
            expired), INVALID_ARGUMENT (the stored copy is not what was sealed for this tenant and key).
        TransientError: as BigQuery and KMS say; the copy is still there and the same call may be made again.
    """
    ledger, store = KeyLedger(bigquery, audit), SealedKeys(bigquery)
    record = _accepted(ledger.get(key_id), key_id, now)
    sealed = store.get(key_id)
    if sealed is None:
        raise _delivered_before(key_id)
    api_key = unseal(kms, sealed.ciphertext, record.tenant_id, key_id, record.environment)
    if hash_of(api_key.get_secret_value()) != record.key_hash:
        raise TransientError(
            ErrorCode.DATA_CORRUPTED,
            f"Try again, and if it stays so revoke {key_id}: its sealed copy is not the key that was issued.",
        )
    event = KeyEvent(
        key_id=key_id,
        tenant_id=record.tenant_id,
        kind=KeyEventKind.DELIVERED,
        environment=record.environment,
        recorded_at=now,
        actor=actor,
        request_id=request_id,
    )
    ledger.append(event)
    if not store.wipe(key_id):
        raise _delivered_before(key_id)
    return Delivered(api_key, replace(record, delivered_at=record.delivered_at or now))


def _accepted(record: KeyRecord | None, key_id: KeyId, now: datetime) -> KeyRecord:
    if record is None:
        raise PermanentError(
            ErrorCode.KEY_NOT_FOUND, f"Check the key id: no key {key_id} was issued.", {"key_id": key_id}
        )
    if not record.is_accepted(now):
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Issue a new key: {key_id} is {record.state(now)}.",
            {"key_id": key_id, "state": str(record.state(now))},
        )
    return record


def _delivered_before(key_id: KeyId) -> PermanentError:
    return PermanentError(
        ErrorCode.KEY_ALREADY_DELIVERED,
        f"Revoke {key_id} and issue a new key if it is lost: a key is handed over once, and this one was.",
        {"key_id": key_id},
    )
