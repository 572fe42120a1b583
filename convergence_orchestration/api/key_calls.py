"""How the API has a key issued, handed over and revoked: refuse early, launch the run, tell this process' index.

What belongs here: the order of the steps. The run decides for good whether a key may be issued; what is refused here
saves a run.
"""

from convergence_orchestration.api.launching import ACTOR_TAG, REQUEST_TAG, TENANT_TAG, launch
from convergence_orchestration.api.runs import RunId
from convergence_orchestration.api.services import Services
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.keys.delivery import Delivered, deliver
from convergence_orchestration.keys.issuing import NewKey
from convergence_orchestration.keys.model import KeyEvent, KeyEventKind, KeyId, KeyRecord
from convergence_orchestration.keys.revoking import find
from convergence_orchestration.tenancy.model import TenantId, TenantState

ISSUE_JOB = "issue_tenant_key"
REVOKE_JOB = "revoke_tenant_key"


async def begin_issue(services: Services, wanted: NewKey) -> RunId:
    """Launch the run that issues `wanted`.

    Raises:
        PermanentError: TENANT_NOT_FOUND, TENANT_NOT_ACTIVE, KEY_EXISTS, NOT_BOOTSTRAPPED; nothing was done.
        TransientError: DAGSTER_UNAVAILABLE; nothing was done.
    """
    await services.dagster.ping()
    await services.blocking(_refuse_if_pointless, services, wanted.tenant_id)
    config: dict[str, object] = {
        "tenant_id": wanted.tenant_id,
        "key_id": wanted.key_id,
        "description": wanted.description,
        "scopes": [str(scope) for scope in wanted.scopes],
        "expires_at": wanted.expires_at.isoformat() if wanted.expires_at else "",
    }
    return await launch(
        services, ISSUE_JOB, {"issue_key": config}, _tags(wanted.tenant_id, wanted.actor, wanted.request_id)
    )


async def hand_over(services: Services, key_id: KeyId, actor: str, request_id: str) -> Delivered:
    """Open the key's sealed copy for its caller, once; this process accepts the key from now on.

    Raises:
        ConvergenceError: as `keys.delivery.deliver`; after a transient one the key can still be revealed, which the
            details say.
    """
    try:
        delivered = await services.blocking(
            deliver,
            services.bigquery,
            services.kms,
            key_id,
            actor=actor,
            now=services.clock(),
            request_id=request_id,
            audit=services.audit.trail,
        )
    except TransientError as error:
        error.details["key_id"] = key_id
        error.details["reveal"] = f"POST /api/v1/admin/api-keys/{key_id}/reveal"
        raise
    services.follower.note(_issued(delivered.record, actor))
    return delivered


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
    config: dict[str, object] = {"key": record.key_id, "reason": reason}
    return await launch(
        services, REVOKE_JOB, {"revoke_key": config}, _tags(record.tenant_id, actor, request_id)
    )


def refuse_from_now_on(services: Services, record: KeyRecord, actor: str) -> None:
    """Let this process refuse a key that a run has revoked, before the ledger is read again."""
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


def _refuse_if_pointless(services: Services, tenant_id: TenantId) -> None:
    tenant = services.tenants.get(tenant_id)
    if tenant is None:
        raise PermanentError(
            ErrorCode.TENANT_NOT_FOUND,
            f"Make the tenant first, POST /api/v1/admin/tenants: there is no tenant {tenant_id}.",
            {"tenant_id": tenant_id},
        )
    if tenant.state is not TenantState.ACTIVE:
        raise PermanentError(
            ErrorCode.TENANT_NOT_ACTIVE,
            f"Make the tenant active first: {tenant_id} is {tenant.state}.",
            {"tenant_id": tenant_id, "state": str(tenant.state)},
        )
    active = services.ledger.active_for(tenant_id, services.clock())
    if active:
        raise _key_exists(active[-1])


def _key_exists(key: KeyRecord) -> PermanentError:
    path = f"/api/v1/admin/api-keys/{key.key_id}"
    first = (
        f"Revoke the tenant's key first, DELETE {path}"
        if key.delivered_at
        else f"Reveal the tenant's key, POST {path}/reveal, or revoke it, DELETE {path}"
    )
    return PermanentError(
        ErrorCode.KEY_EXISTS,
        f"{first}: {key.tenant_id} has an active one.",
        {"tenant_id": key.tenant_id, "key_id": key.key_id},
    )


def _issued(record: KeyRecord, actor: str) -> KeyEvent:
    """The event that the run wrote, as far as the index needs it."""
    return KeyEvent(
        key_id=record.key_id,
        tenant_id=record.tenant_id,
        kind=KeyEventKind.ISSUED,
        environment=record.environment,
        recorded_at=record.issued_at,
        actor=actor,
        key_hash=record.key_hash,
        description=record.description,
        scopes=record.scopes,
        expires_at=record.expires_at,
    )


def _tags(tenant_id: str, actor: str, request_id: str | None) -> dict[str, str]:
    return {TENANT_TAG: tenant_id, ACTOR_TAG: actor, REQUEST_TAG: request_id or ""}
