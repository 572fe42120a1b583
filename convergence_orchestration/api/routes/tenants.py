"""Tenants for administrators: ask for one, list them, look at one. Changing one is `tenant_changes.py`."""

import re
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse

from convergence_orchestration.api.admission import AlreadySo
from convergence_orchestration.api.auth import AdministratorRoute, admin_key_header
from convergence_orchestration.api.context import context_of
from convergence_orchestration.api.launching import IdempotencyKeyHeader, PreferHeader, accepted
from convergence_orchestration.api.prefer import wait_seconds
from convergence_orchestration.api.services import Services, services_of
from convergence_orchestration.api.statuses import ADMINISTRATION_ERRORS, documented
from convergence_orchestration.api.tenant_bodies import (
    TenantAccepted,
    TenantFacts,
    TenantPage,
    TenantReady,
    TenantWanted,
)
from convergence_orchestration.api.tenant_calls import Begun, begin, caller_who_asks
from convergence_orchestration.api.tenant_outcomes import Finished, finished, how_far
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.asked import parse_new_tenant
from convergence_orchestration.tenancy.model import (
    TENANT_ID_PATTERN,
    Plan,
    Tenant,
    TenantId,
    TenantState,
)
from convergence_orchestration.tenancy.registry import TenantFilter

MOST_IN_A_PAGE = 200

router = APIRouter(
    prefix="/api/v1/admin",
    tags=["tenants"],
    route_class=AdministratorRoute,
    dependencies=[admin_key_header],
)


@router.post(
    "/tenants",
    summary="Make a tenant",
    response_model=TenantReady,
    responses={
        202: {"model": TenantAccepted, "description": "It goes on; Location is the request to ask for."},
        **documented(
            *ADMINISTRATION_ERRORS,
            ErrorCode.BODY_TOO_LARGE,
            ErrorCode.MALFORMED_JSON,
            ErrorCode.INVALID_TENANT_ID,
            ErrorCode.RESERVED_TENANT_ID,
            ErrorCode.TENANT_EXISTS,
            ErrorCode.TENANT_DELETED,
            ErrorCode.REQUEST_IN_PROGRESS,
            ErrorCode.IDEMPOTENCY_KEY_REUSED,
            ErrorCode.RATE_LIMITED,
        ),
    },
)
async def create_tenant(
    request: Request,
    body: TenantWanted,
    prefer: PreferHeader = None,
    idempotency_key: IdempotencyKeyHeader = None,
) -> TenantReady | JSONResponse:
    """Dataset, tables and rows of a new tenant, made by a Dagster run; 200 once the tenant is ACTIVE.

    The request is written down before anything else happens: from then on it is carried out, whatever fails. One that
    failed is tried again, with the same request id, by asking for the same tenant id again.
    """
    services, caller = services_of(request), caller_who_asks(request, idempotency_key)
    wanted = parse_new_tenant(**body.model_dump())
    context = context_of(request.scope)
    context.tenant_id = wanted.tenant_id
    await services.limits.charge_tenant_creation(caller.actor, context)
    begun = await begin(services, wanted, caller)
    if isinstance(begun, AlreadySo):
        raise TypeError("a tenant to be is never as asked already")
    done = await finished(services, begun, wait_seconds(prefer, services.settings.run_wait_seconds))
    if done is not None:
        return _ready(services, wanted.tenant_id, begun, done)
    location, message = how_far(begun, "The tenant is being made")
    body_202 = TenantAccepted(
        tenant_id=wanted.tenant_id,
        request_id=begun.request_id,
        run_id=begun.run_id,
        run_url=services.run_url(begun.run_id),
        message=message,
    )
    return accepted(body_202, location)


@router.get("/tenants", summary="List tenants", responses=documented(*ADMINISTRATION_ERRORS))
async def list_tenants(
    request: Request,
    *,
    state: Annotated[TenantState | None, Query(description="Only tenants in this state.")] = None,
    plan: Annotated[Plan | None, Query(description="Only tenants of this plan.")] = None,
    search: Annotated[
        str | None, Query(max_length=200, description="Part of the id or of the company's name.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_IN_A_PAGE, description="Tenants in a page.")] = 50,
    after: Annotated[str | None, Query(max_length=50, description="The last page's next_after.")] = None,
) -> TenantPage:
    """Tenants ordered by id."""
    services = services_of(request)
    behind = TenantId(after) if after else None
    wanted = TenantFilter(state, plan, search)
    found = await services.blocking(services.tenants.page, limit + 1, behind, wanted)
    shown = found[:limit]
    return TenantPage(
        tenants=[tenant_facts(tenant) for tenant in shown],
        next_after=shown[-1].tenant_id if len(found) > limit else None,
    )


@router.get(
    "/tenants/{tenant_id}",
    summary="Look at a tenant",
    responses=documented(*ADMINISTRATION_ERRORS, ErrorCode.TENANT_NOT_FOUND),
)
async def get_tenant(request: Request, tenant_id: str) -> TenantFacts:
    """One tenant's profile."""
    services = services_of(request)
    tenant = None
    if re.fullmatch(TENANT_ID_PATTERN, tenant_id):
        tenant = await services.blocking(services.tenants.get, TenantId(tenant_id))
    if tenant is None:
        raise PermanentError(
            ErrorCode.TENANT_NOT_FOUND, "Check the tenant id: there is no tenant of this id."
        )
    return tenant_facts(tenant)


def tenant_facts(tenant: Tenant) -> TenantFacts:
    """The profile as administrators see it."""
    return TenantFacts(**asdict(tenant))


def _ready(services: Services, tenant_id: TenantId, begun: Begun, done: Finished) -> TenantReady:
    return TenantReady(
        tenant_id=tenant_id,
        datasets_created=1,
        tables_created=done.tables_of(tenant_id),
        api_keys_count=0,  # keys are issued to ACTIVE tenants alone, which this one is since a moment
        request_id=begun.request_id,
        run_id=done.run_id,
        run_url=services.run_url(done.run_id),
    )
