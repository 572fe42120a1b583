"""How a tenant's key is issued: made, sealed, stored sealed, and only then written into the ledger by its hash.

Each step finds what an earlier try did, so the same key id can be issued again and again and is one key. The key in
clear lives inside `_seal_new` alone; nobody is handed it here, see `delivery.py`.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from google.cloud.bigquery import ScalarQueryParameter

from convergence_orchestration.audit.model import AuditSink
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.ledger import KeyLedger
from convergence_orchestration.keys.model import (
    ALL_SCOPES,
    KeyEvent,
    KeyEventKind,
    KeyId,
    KeyRecord,
    Scope,
)
from convergence_orchestration.keys.sealed_store import SealedKey, SealedKeys
from convergence_orchestration.keys.sealing import seal, unseal
from convergence_orchestration.keys.token import generate_tenant_key, hash_of
from convergence_orchestration.settings import Environment
from convergence_orchestration.tenancy.model import TenantId, TenantState

_TENANT_STATE = Path(__file__).with_name("tenant_state.sql").read_text(encoding="utf-8")


@dataclass(frozen=True)
class NewKey:
    """What was asked for when a key was asked for, by whom and in which run; `expires_at` is UTC."""

    key_id: KeyId
    tenant_id: TenantId
    environment: Environment
    actor: str
    description: str = ""
    scopes: tuple[Scope, ...] = ALL_SCOPES
    expires_at: datetime | None = None
    request_id: str | None = None
    run_id: str | None = None


def issue(bigquery: BigQuery, kms: Kms, asked: NewKey, now: datetime, *, audit: AuditSink) -> KeyRecord:
    """Issue the key, or finish what an earlier try of the same key id began; its record.

    Raises:
        PermanentError: TENANT_NOT_FOUND, TENANT_NOT_ACTIVE, KEY_EXISTS (the tenant has an active key, named in the
            details), INVALID_ARGUMENT (the key id is another tenant's).
        TransientError: as BigQuery and KMS say; the same call continues.
    """
    ledger = KeyLedger(bigquery, audit)
    issued = ledger.get(asked.key_id)
    if issued is not None:
        return _of_the_same_tenant(issued, asked.tenant_id)
    _refuse_unless_active(bigquery, asked.tenant_id)
    _refuse_if_any(ledger.active_for(asked.tenant_id, now))
    key_hash, kms_key_version = _ensure_sealed(bigquery, kms, asked, now)
    event = KeyEvent(
        key_id=asked.key_id,
        tenant_id=asked.tenant_id,
        kind=KeyEventKind.ISSUED,
        environment=asked.environment,
        recorded_at=now,
        actor=asked.actor,
        key_hash=key_hash,
        description=asked.description,
        scopes=asked.scopes,
        expires_at=asked.expires_at,
        kms_key_version=kms_key_version,
        request_id=asked.request_id,
        run_id=asked.run_id,
    )
    ledger.append(event)
    return KeyRecord(
        key_id=asked.key_id,
        tenant_id=asked.tenant_id,
        key_hash=key_hash,
        environment=asked.environment,
        description=asked.description,
        scopes=asked.scopes,
        issued_at=now,
        expires_at=asked.expires_at,
    )


def _ensure_sealed(bigquery: BigQuery, kms: Kms, asked: NewKey, now: datetime) -> tuple[str, str | None]:
    """The hash of the key whose sealed copy is stored, ours or that of whoever was first, and what sealed it."""
    store = SealedKeys(bigquery)
    if (stored := store.get(asked.key_id)) is None:
        sealed, key_hash = _seal_new(kms, asked, now)
        if store.insert(sealed):
            return key_hash, sealed.kms_key_version
        stored = store.get(asked.key_id)
    if stored is None:
        raise TransientError(
            ErrorCode.UNAVAILABLE,
            f"Try again: the sealed copy of {asked.key_id} was wiped while it was being issued.",
        )
    opened = unseal(kms, stored.ciphertext, asked.tenant_id, asked.key_id, asked.environment)
    return hash_of(opened.get_secret_value()), stored.kms_key_version


def _seal_new(kms: Kms, asked: NewKey, now: datetime) -> tuple[SealedKey, str]:
    api_key = generate_tenant_key(asked.environment)
    encrypted = seal(kms, api_key, asked.tenant_id, asked.key_id, asked.environment)
    sealed = SealedKey(
        key_id=asked.key_id,
        tenant_id=asked.tenant_id,
        environment=asked.environment,
        ciphertext=encrypted.ciphertext,
        sealed_at=now,
        kms_key_version=encrypted.key_version,
    )
    return sealed, hash_of(api_key.get_secret_value())


def _of_the_same_tenant(issued: KeyRecord, tenant_id: TenantId) -> KeyRecord:
    if issued.tenant_id == tenant_id:
        return issued
    raise PermanentError(
        ErrorCode.INVALID_ARGUMENT,
        f"Leave key_id empty: {issued.key_id} is a key of another tenant.",
        {"key_id": issued.key_id},
    )


def _refuse_unless_active(bigquery: BigQuery, tenant_id: TenantId) -> None:
    rows = bigquery.query(_TENANT_STATE, [ScalarQueryParameter("tenant_id", "STRING", tenant_id)])
    if not rows:
        raise PermanentError(
            ErrorCode.TENANT_NOT_FOUND,
            f"Onboard {tenant_id} first (POST /api/v1/admin/tenants or the job `onboard_tenant`): there is no such tenant.",
            {"tenant_id": tenant_id},
        )
    state = TenantState(rows[0]["state"])
    if state is not TenantState.ACTIVE:
        raise PermanentError(
            ErrorCode.TENANT_NOT_ACTIVE,
            f"Make {tenant_id} active first: it is {state}, and only an active tenant gets keys.",
            {"tenant_id": tenant_id, "state": str(state)},
        )


def _refuse_if_any(active: list[KeyRecord]) -> None:
    if not active:
        return
    key = active[-1]
    raise PermanentError(
        ErrorCode.KEY_EXISTS,
        f"Revoke {key.key_id} first (DELETE /api/v1/admin/api-keys/{key.key_id} or the job `revoke_tenant_key`): "
        f"{key.tenant_id} has one active key already.",
        {"tenant_id": key.tenant_id, "key_id": key.key_id},
    )
