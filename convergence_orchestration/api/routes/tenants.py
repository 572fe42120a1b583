"""Tenants for administrators: ask for one, list them, look at one, look at a request."""

import re
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse

from convergence_orchestration.api import onboarding
from convergence_orchestration.api.auth import AdministratorRoute, admin_key_header, administrator_of
from convergence_orchestration.api.bodies import (
    TenantAccepted,
    TenantFacts,
    TenantPage,
    TenantReady,
    TenantRequestFacts,
    TenantWanted,
)
from convergence_orchestration.api.context import context_of
from convergence_orchestration.api.launching import PreferHeader, accepted, outcome_of
from convergence_orchestration.api.onboarding import Onboarding
from convergence_orchestration.api.prefer import wait_seconds
from convergence_orchestration.api.runs import RunOutcome, RunStatus
from convergence_orchestration.api.services import Services, services_of
from convergence_orchestration.api.statuses import ADMINISTRATION_ERRORS, documented
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.model import (
    REQUEST_ID_PATTERN,
    TENANT_ID_PATTERN,
    RequestId,
    Tenant,
    TenantId,
    parse_new_tenant,
)

TENANT_ASSETS = "tenant"
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
        202: {"model": TenantAccepted, "description": "The run goes on; Location is the request to ask for."},
        **documented(
            *ADMINISTRATION_ERRORS,
            ErrorCode.BODY_TOO_LARGE,
            ErrorCode.MALFORMED_JSON,
            ErrorCode.INVALID_TENANT_ID,
            ErrorCode.RESERVED_TENANT_ID,
            ErrorCode.TENANT_EXISTS,
            ErrorCode.REQUEST_IN_PROGRESS,
            ErrorCode.RATE_LIMITED,
            ErrorCode.DAGSTER_UNAVAILABLE,
        ),
    },
)
async def create_tenant(
    request: Request, body: TenantWanted, prefer: PreferHeader = None
) -> TenantReady | JSONResponse:
    """Dataset, tables and rows of a new tenant, made by a Dagster run; 200 once the tenant is ACTIVE.

    A request that failed is tried again, with the same request id, by asking for the same tenant id again.
    """
    services, actor = services_of(request), administrator_of(request)
    wanted = parse_new_tenant(**body.model_dump())
    context = context_of(request.scope)
    context.tenant_id = wanted.tenant_id
    await services.limits.charge_tenant_creation(actor, context)
    begun = await onboarding.begin(services, wanted, actor)
    seconds = wait_seconds(prefer, services.settings.run_wait_seconds)
    outcome = await outcome_of(services, begun.run_id, seconds, request_id=begun.request_id)
    run_url = services.dagster.run_url(begun.run_id)
    if outcome.status is RunStatus.SUCCESS:
        return tenant_ready(wanted.tenant_id, begun, outcome, run_url)
    location = f"/api/v1/admin/tenant-requests/{begun.request_id}"
    body_202 = TenantAccepted(
        tenant_id=wanted.tenant_id,
        request_id=begun.request_id,
        run_id=begun.run_id,
        run_url=run_url,
        message=f"The tenant is being made: GET {location} tells how far it is.",
    )
    return accepted(body_202, location)


@router.get("/tenants", summary="List tenants", responses=documented(*ADMINISTRATION_ERRORS))
async def list_tenants(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MOST_IN_A_PAGE, description="Tenants in a page.")] = 50,
    after: Annotated[str | None, Query(max_length=50, description="The last page's next_after.")] = None,
) -> TenantPage:
    """Tenants ordered by id."""
    services = services_of(request)
    behind = TenantId(after) if after else None
    found = await services.blocking(services.tenants.page, limit + 1, behind)
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


@router.get(
    "/tenant-requests/{request_id}",
    summary="Look at a request for a tenant",
    responses=documented(*ADMINISTRATION_ERRORS, ErrorCode.NOT_FOUND),
)
async def get_tenant_request(request: Request, request_id: str) -> TenantRequestFacts:
    """How far a request has come, and on failure why."""
    services = services_of(request)
    if not re.fullmatch(REQUEST_ID_PATTERN, request_id):
        raise _no_such_request()
    found = await services.blocking(services.requests.get, RequestId(request_id))
    if found is None:
        raise _no_such_request()
    return TenantRequestFacts(
        request_id=found.request_id,
        tenant_id=found.tenant_id,
        kind=found.kind,
        state=found.state,
        attempt=found.attempt,
        requested_at=found.requested_at,
        updated_at=found.updated_at,
        run_id=found.run_id,
        run_url=_run_url(services, found.run_id),
        reason=found.reason,
        error_code=found.error_code,
    )


def tenant_ready(tenant_id: TenantId, begun: Onboarding, outcome: RunOutcome, run_url: str) -> TenantReady:
    """The answer for an ACTIVE tenant, from what its run materialized."""
    tables = sorted(
        item.asset_key[-1]
        for item in outcome.materializations
        if item.asset_key[:1] == (TENANT_ASSETS,) and item.partition == tenant_id
    )
    return TenantReady(
        tenant_id=tenant_id,
        datasets_created=1,
        tables_created=tables,
        api_keys_count=0,  # keys are issued to ACTIVE tenants alone, which this one is since a moment
        request_id=begun.request_id,
        run_id=begun.run_id,
        run_url=run_url,
    )


def tenant_facts(tenant: Tenant) -> TenantFacts:
    """The profile as administrators see it."""
    return TenantFacts(**asdict(tenant))


def _run_url(services: Services, run_id: str | None) -> str | None:
    return services.dagster.run_url(run_id) if run_id else None


def _no_such_request() -> PermanentError:
    return PermanentError(ErrorCode.NOT_FOUND, "Check the request id: there is no such request.")
