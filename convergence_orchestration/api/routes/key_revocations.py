"""Revoking tenants' keys for administrators: one by its id or hash, or all of a tenant."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse

from convergence_orchestration.api import key_revocations
from convergence_orchestration.api.auth import AdministratorRoute, admin_key_header, administrator_of
from convergence_orchestration.api.bodies import Accepted
from convergence_orchestration.api.context import context_of
from convergence_orchestration.api.key_bodies import KeyRevoked, KeysRevoked
from convergence_orchestration.api.launching import PreferHeader, accepted, outcome_of
from convergence_orchestration.api.prefer import wait_seconds
from convergence_orchestration.api.runs import RunId, RunStatus
from convergence_orchestration.api.services import Services, services_of
from convergence_orchestration.api.statuses import ADMINISTRATION_ERRORS, documented
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.keys.model import KeyRecord
from convergence_orchestration.tenancy.model import RESERVED_TENANT_IDS, TENANT_ID_PATTERN, TenantId

router = APIRouter(
    prefix="/api/v1/admin",
    tags=["keys"],
    route_class=AdministratorRoute,
    dependencies=[admin_key_header],
)

ReasonQuery = Annotated[str, Query(max_length=500, description="Why, for the ledger.")]
_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"model": Accepted, "description": "The run goes on; Location names it."}
}


@router.delete(
    "/api-keys/{key}",
    summary="Revoke a key",
    response_model=KeyRevoked,
    responses=_ACCEPTED
    | documented(*ADMINISTRATION_ERRORS, ErrorCode.KEY_NOT_FOUND, ErrorCode.DAGSTER_UNAVAILABLE),
)
async def revoke_key(
    request: Request, key: str, reason: ReasonQuery = "", prefer: PreferHeader = None
) -> KeyRevoked | JSONResponse:
    """Refuse a key, named by its id or its SHA-256, from now on; one that is revoked already stays so."""
    services, actor = services_of(request), administrator_of(request)
    record = await key_revocations.find_key(services, key)
    context = context_of(request.scope)
    context.tenant_id = record.tenant_id
    if record.revoked_at is not None:
        return _revoked(services, record, None)
    run_id = await key_revocations.begin_revoke(services, record, reason, actor, context.request_id)
    outcome = await outcome_of(services, run_id, wait_seconds(prefer, services.settings.run_wait_seconds))
    if outcome.status is not RunStatus.SUCCESS:
        return _go_on(services, run_id)
    key_revocations.refuse_from_now_on(services, [record], actor)
    return _revoked(services, await key_revocations.find_key(services, record.key_id), run_id)


@router.delete(
    "/tenants/{tenant_id}/api-keys",
    summary="Revoke all keys of a tenant",
    response_model=KeysRevoked,
    responses=_ACCEPTED
    | documented(*ADMINISTRATION_ERRORS, ErrorCode.TENANT_NOT_FOUND, ErrorCode.DAGSTER_UNAVAILABLE),
)
async def revoke_keys(
    request: Request, tenant_id: str, reason: ReasonQuery = "", prefer: PreferHeader = None
) -> KeysRevoked | JSONResponse:
    """Refuse every key of the tenant from now on, and wipe what could still be revealed."""
    services, actor = services_of(request), administrator_of(request)
    if not re.fullmatch(TENANT_ID_PATTERN, tenant_id) or tenant_id in RESERVED_TENANT_IDS:
        raise PermanentError(
            ErrorCode.TENANT_NOT_FOUND, "Check the tenant id: there is no tenant of this id."
        )
    whose, context = TenantId(tenant_id), context_of(request.scope)
    context.tenant_id = whose
    keys = await key_revocations.accepted_keys(services, whose)
    run_id = await key_revocations.begin_revoke_all(services, whose, reason, actor, context.request_id)
    outcome = await outcome_of(services, run_id, wait_seconds(prefer, services.settings.run_wait_seconds))
    if outcome.status is not RunStatus.SUCCESS:
        return _go_on(services, run_id)
    key_revocations.refuse_from_now_on(services, keys, actor)
    return KeysRevoked(
        tenant_id=whose,
        revoked=[record.key_id for record in keys],
        run_id=run_id,
        run_url=services.dagster.run_url(run_id),
    )


def _go_on(services: Services, run_id: RunId) -> JSONResponse:
    run_url = services.dagster.run_url(run_id)
    message = "The run goes on: look at run_url, or send the same request again, which changes nothing twice."
    return accepted(Accepted(run_id=run_id, run_url=run_url, message=message), run_url)


def _revoked(services: Services, record: KeyRecord, run_id: RunId | None) -> KeyRevoked:
    return KeyRevoked(
        key_id=record.key_id,
        tenant_id=record.tenant_id,
        revoked_at=record.revoked_at or services.clock(),
        run_id=run_id,
        run_url=services.run_url(run_id),
    )
