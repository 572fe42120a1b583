"""How the API has keys revoked: one by its id or hash, or all of a tenant.

What belongs here: finding what is meant, launching the run, telling this process' index.
"""

from collections.abc import Iterable

from convergence_orchestration.api.launching import ACTOR_TAG, REQUEST_TAG, TENANT_TAG, launch
from convergence_orchestration.api.runs import RunId
from convergence_orchestration.api.services import Services
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.keys.launches import REVOKE_ALL_JOB, REVOKE_ALL_OP, REVOKE_JOB, REVOKE_OP
from convergence_orchestration.keys.model import KeyEvent, KeyEventKind, KeyRecord
from convergence_orchestration.keys.revoking import find
from convergence_orchestration.tenancy.model import TenantId


async def find_key(services: Services, key: str) -> KeyRecord:
    """The key of this id or hash.

    Raises:
        PermanentError: KEY_NOT_FOUND, also for what can be neither.
    """
    try:
        return await services.blocking(find, services.ledger, key)
    except PermanentError as error:
        if error.code is not ErrorCode.INVALID_ARGUMENT:
            raise
        raise PermanentError(ErrorCode.KEY_NOT_FOUND, error.message) from None


async def begin_revoke(
    services: Services, record: KeyRecord, reason: str, actor: str, request_id: str
) -> RunId:
    """Launch the run that revokes the key.

    Raises:
        TransientError: DAGSTER_UNAVAILABLE; nothing was done.
    """
    await services.dagster.ping()
    config: dict[str, object] = {"key": record.key_id, "reason": reason}
    tags = _tags(record.tenant_id, actor, request_id)
    return await launch(services, REVOKE_JOB, {REVOKE_OP: config}, tags)


async def accepted_keys(services: Services, tenant_id: TenantId) -> list[KeyRecord]:
    """The tenant's keys that are accepted now.

    Raises:
        PermanentError: TENANT_NOT_FOUND.
    """
    if await services.blocking(services.tenants.get, tenant_id) is None:
        raise PermanentError(
            ErrorCode.TENANT_NOT_FOUND, "Check the tenant id: there is no tenant of this id."
        )
    return await services.blocking(services.ledger.active_for, tenant_id, services.clock())


async def begin_revoke_all(
    services: Services, tenant_id: TenantId, reason: str, actor: str, request_id: str
) -> RunId:
    """Launch the run that revokes every key of the tenant and wipes its sealed copies.

    Raises:
        TransientError: DAGSTER_UNAVAILABLE; nothing was done.
    """
    await services.dagster.ping()
    config: dict[str, object] = {"tenant_id": tenant_id, "reason": reason}
    tags = _tags(tenant_id, actor, request_id)
    return await launch(services, REVOKE_ALL_JOB, {REVOKE_ALL_OP: config}, tags)


def refuse_from_now_on(services: Services, records: Iterable[KeyRecord], actor: str) -> None:
    """Let this process refuse keys that a run has revoked, before the ledger is read again."""
    for record in records:
        services.follower.note(
            KeyEvent(
                key_id=record.key_id,
                tenant_id=record.tenant_id,
                kind=KeyEventKind.REVOKED,
                environment=record.environment,
                recorded_at=services.clock(),
                actor=actor,
            )
        )


def _tags(tenant_id: str, actor: str, request_id: str) -> dict[str, str]:
    return {TENANT_TAG: tenant_id, ACTOR_TAG: actor, REQUEST_TAG: request_id}
