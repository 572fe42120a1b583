"""How a key is revoked: an event in the ledger, then its sealed copy is wiped if it still had one."""

import re
from dataclasses import dataclass, replace
from datetime import datetime

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.keys.ledger import KeyEvents
from convergence_orchestration.keys.life import is_revocable
from convergence_orchestration.keys.model import (
    KEY_HASH_PATTERN,
    KEY_ID_PATTERN,
    KeyEvent,
    KeyEventKind,
    KeyId,
    KeyRecord,
)
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.tenancy.model import TenantId


@dataclass(frozen=True)
class Revocation:
    """Which key (its id or its hash), by whom, why, and in which run."""

    key: str
    actor: str
    reason: str = ""
    request_id: str | None = None
    run_id: str | None = None


def revoke(stores: KeyStores, asked: Revocation, now: datetime) -> KeyRecord:
    """Revoke the key for good; one that is revoked already stays as it is. Its record.

    Raises:
        PermanentError: INVALID_ARGUMENT (neither a key id nor a hash), KEY_NOT_FOUND.
    """
    record = find(stores.ledger, asked.key)
    if is_revocable(record, now):
        stores.ledger.append(revoked_event(record, asked, now))
        record = replace(record, revoked_at=now)
    stores.copies.wipe(record.key_id)
    return record


def revoke_all(
    stores: KeyStores,
    tenant_id: TenantId,
    *,
    actor: str,
    reason: str,
    request_id: str | None,
    run_id: str | None,
    now: datetime,
) -> list[KeyId]:
    """Revoke every key of the tenant that is accepted now, and wipe all its sealed copies for good; the keys' ids."""
    accepted = stores.ledger.active_for(tenant_id, now)
    asked = (Revocation(record.key_id, actor, reason, request_id, run_id) for record in accepted)
    events = [revoked_event(record, each, now) for record, each in zip(accepted, asked, strict=True)]
    if events:
        stores.ledger.append(*events)
    stores.copies.wipe_tenant(tenant_id)
    return [record.key_id for record in accepted]


def find(ledger: KeyEvents, key: str) -> KeyRecord:
    """The key of this id or SHA-256 in hexadecimal.

    Raises:
        PermanentError: INVALID_ARGUMENT, KEY_NOT_FOUND. Neither repeats what was given: it could be a key in clear.
    """
    if re.fullmatch(KEY_ID_PATTERN, key):
        record = ledger.get(KeyId(key))
    elif re.fullmatch(KEY_HASH_PATTERN, key):
        record = ledger.find_by_hash(key)
    else:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            "Name the key by its id (key_ and 20 letters and digits) or by its SHA-256 (64 hexadecimal digits), "
            "never by the key itself.",
            {"field": "key"},
        )
    if record is None:
        raise PermanentError(ErrorCode.KEY_NOT_FOUND, "Check the key id or hash: no such key was issued.")
    return record


def revoked_event(record: KeyRecord, asked: Revocation, now: datetime) -> KeyEvent:
    """The event by which a key ends for good."""
    return KeyEvent(
        key_id=record.key_id,
        tenant_id=record.tenant_id,
        kind=KeyEventKind.REVOKED,
        environment=record.environment,
        recorded_at=now,
        actor=asked.actor,
        description=asked.reason,
        request_id=asked.request_id,
        run_id=asked.run_id,
    )
