"""A tenant's changes for administrators: another plan, suspension, resumption, offboarding. Each is a request."""

import re
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse

from convergence_orchestration.api.admission import AlreadySo
from convergence_orchestration.api.auth import AdministratorRoute, admin_key_header
from convergence_orchestration.api.context import context_of
from convergence_orchestration.api.launching import IdempotencyKeyHeader, PreferHeader, accepted
from convergence_orchestration.api.prefer import wait_seconds
from convergence_orchestration.api.runs import RunId
from convergence_orchestration.api.services import Services, services_of
from convergence_orchestration.api.statuses import ADMINISTRATION_ERRORS, documented
from convergence_orchestration.api.tenant_bodies import (
    ChangeAccepted,
    PlanWanted,
    StateWanted,
    TenantChanged,
)
from convergence_orchestration.api.tenant_calls import begin, caller_who_asks
from convergence_orchestration.api.tenant_outcomes import finished, how_far
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.asked import (
    DEFAULT_RETENTION_DAYS,
    MAX_REASON_LENGTH,
    MAX_RETENTION_DAYS,
    Asked,
    parse_offboarding,
    parse_plan_change,
    parse_resumption,
    parse_suspension,
)
from convergence_orchestration.tenancy.model import RESERVED_TENANT_IDS, TENANT_ID_PATTERN, Tenant
from convergence_orchestration.tenancy.request_model import RequestId

_ERRORS = (
    *ADMINISTRATION_ERRORS,
    ErrorCode.TENANT_NOT_FOUND,
    ErrorCode.TENANT_DELETED,
    ErrorCode.FAILED_PRECONDITION,
    ErrorCode.REQUEST_IN_PROGRESS,
    ErrorCode.IDEMPOTENCY_KEY_REUSED,
)
_ACCEPTED = {202: {"model": ChangeAccepted, "description": "It goes on; Location is the request to ask for."}}
_RESPONSES = _ACCEPTED | documented(*_ERRORS)
_RESPONSES_WITH_BODY = _ACCEPTED | documented(*_ERRORS, ErrorCode.BODY_TOO_LARGE, ErrorCode.MALFORMED_JSON)

router = APIRouter(
    prefix="/api/v1/admin/tenants/{tenant_id}",
    tags=["tenants"],
    route_class=AdministratorRoute,
    dependencies=[admin_key_header],
)


@router.put(
    "/plan",
    summary="Give a tenant another plan",
    response_model=TenantChanged,
    responses=_RESPONSES_WITH_BODY,
)
async def change_plan(
    request: Request,
    tenant_id: str,
    body: PlanWanted,
    prefer: PreferHeader = None,
    idempotency_key: IdempotencyKeyHeader = None,
) -> TenantChanged | JSONResponse:
    """Its limits count from the tenant's next calls on."""
    _check_form(tenant_id)
    asked = parse_plan_change(tenant_id=tenant_id, plan=body.plan)
    return await _changed(request, asked, prefer, idempotency_key)


@router.post(
    "/suspend", summary="Suspend a tenant", response_model=TenantChanged, responses=_RESPONSES_WITH_BODY
)
async def suspend(
    request: Request,
    tenant_id: str,
    body: StateWanted | None = None,
    prefer: PreferHeader = None,
    idempotency_key: IdempotencyKeyHeader = None,
) -> TenantChanged | JSONResponse:
    """Refuse all calls of the tenant within seconds, until it is resumed. Nothing of it is deleted."""
    _check_form(tenant_id)
    asked = parse_suspension(tenant_id=tenant_id, reason=(body or StateWanted()).reason)
    return await _changed(request, asked, prefer, idempotency_key)


@router.post(
    "/resume", summary="Resume a tenant", response_model=TenantChanged, responses=_RESPONSES_WITH_BODY
)
async def resume(
    request: Request,
    tenant_id: str,
    body: StateWanted | None = None,
    prefer: PreferHeader = None,
    idempotency_key: IdempotencyKeyHeader = None,
) -> TenantChanged | JSONResponse:
    """Make a suspended tenant ACTIVE again, or one that is being offboarded; keys revoked by that stay revoked."""
    _check_form(tenant_id)
    asked = parse_resumption(tenant_id=tenant_id, reason=(body or StateWanted()).reason)
    return await _changed(request, asked, prefer, idempotency_key)


@router.delete("", summary="Offboard a tenant", response_model=TenantChanged, responses=_RESPONSES)
async def offboard(  # noqa: PLR0913 one for each parameter
    request: Request,
    tenant_id: str,
    *,
    confirm: Annotated[str, Query(description="The tenant's id once more.")] = "",
    reason: Annotated[str, Query(description=f"Why; at most {MAX_REASON_LENGTH} characters.")] = "",
    take_snapshot: Annotated[bool, Query(description="Copy every table to `tenants_archive` first.")] = False,
    retention_days: Annotated[
        int,
        Query(
            description=f"Days until its dataset is deleted, 0 to {MAX_RETENTION_DAYS}; resumable until then."
        ),
    ] = DEFAULT_RETENTION_DAYS,
    prefer: PreferHeader = None,
    idempotency_key: IdempotencyKeyHeader = None,
) -> TenantChanged | JSONResponse:
    """Refuse the tenant at once, revoke its keys, and delete its dataset after a while. Its id is not given again."""
    _check_form(tenant_id)
    asked = parse_offboarding(
        tenant_id=tenant_id,
        confirm=confirm,
        reason=reason,
        take_snapshot=take_snapshot,
        retention_days=retention_days,
    )
    return await _changed(request, asked, prefer, idempotency_key)


async def _changed(
    request: Request, asked: Asked, prefer: str | None, idempotency_key: str | None
) -> TenantChanged | JSONResponse:
    services, caller = services_of(request), caller_who_asks(request, idempotency_key)
    context_of(request.scope).tenant_id = asked.tenant_id
    begun = await begin(services, asked, caller)
    if isinstance(begun, AlreadySo):
        return _shown(services, begun.tenant, None, None)
    done = await finished(services, begun, wait_seconds(prefer, services.settings.run_wait_seconds))
    if done is not None:
        tenant = await services.blocking(services.tenants.get, asked.tenant_id)
        if tenant is None:
            raise _no_such_tenant()
        return _shown(services, tenant, begun.request_id, done.run_id)
    if begun.tenant is None:
        raise _no_such_tenant()
    location, message = how_far(begun, "The tenant is being changed")
    body_202 = ChangeAccepted(
        tenant_id=asked.tenant_id,
        state=begun.tenant.state,
        request_id=begun.request_id,
        run_id=begun.run_id,
        run_url=services.run_url(begun.run_id),
        message=message,
    )
    return accepted(body_202, location)


def _shown(
    services: Services, tenant: Tenant, request_id: RequestId | None, run_id: RunId | None
) -> TenantChanged:
    return TenantChanged(
        tenant_id=tenant.tenant_id,
        state=tenant.state,
        plan=tenant.plan,
        delete_after=tenant.delete_after,
        state_reason=tenant.state_reason,
        request_id=request_id,
        run_id=run_id,
        run_url=services.run_url(run_id),
    )


def _check_form(tenant_id: str) -> None:
    """Answer for a path that can name no tenant as for one that names none."""
    if not re.fullmatch(TENANT_ID_PATTERN, tenant_id) or tenant_id in RESERVED_TENANT_IDS:
        raise _no_such_tenant()


def _no_such_tenant() -> PermanentError:
    return PermanentError(ErrorCode.TENANT_NOT_FOUND, "Check the tenant id: there is no tenant of this id.")
