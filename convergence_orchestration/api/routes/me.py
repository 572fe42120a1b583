"""GET /tenants/me and below: the calling tenant's profile, key, usage and tables; nothing of anybody else."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from convergence_orchestration.api.auth import TenantRoute, caller_of, needs, tenant_of
from convergence_orchestration.api.bodies import Me
from convergence_orchestration.api.own_bodies import OwnTables, OwnUsage, RequestLimits
from convergence_orchestration.api.own_usage import days_of, quota_of, tables_of
from convergence_orchestration.api.rate_limits import requests_allowed
from convergence_orchestration.api.services import services_of
from convergence_orchestration.api.statuses import OWN_TENANT_ERRORS, documented
from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.keys.model import KeyRecord, Scope
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.index import KnownTenant
from convergence_orchestration.tenancy.model import PLAN_LIMITS
from convergence_orchestration.tenancy.pipelines.usage import WINDOW, UsageDays
from convergence_orchestration.warehouse.model import tenant_dataset

router = APIRouter(
    prefix="/api/v1/tenants",
    tags=["own tenant"],
    route_class=TenantRoute,
)


@router.get(
    "/me",
    summary="Who am I?",
    response_model=Me,
    responses=documented(*OWN_TENANT_ERRORS),
)
async def me(request: Request) -> Response:
    """The tenant that the key belongs to; its profile may be as old as the tenant index may be."""
    facts = own_facts(tenant_of(request), caller_of(request), services_of(request).settings)
    # written once: FastAPI would check and convert the model again, which costs as much as the rest of the call
    return Response(facts.model_dump_json(), media_type="application/json")


@router.get(
    "/me/usage",
    summary="What have I used?",
    dependencies=[needs(Scope.USAGE_READ)],
    responses=documented(*OWN_TENANT_ERRORS, ErrorCode.INVALID_ARGUMENT),
)
async def usage(
    request: Request,
    days: Annotated[int, Query(ge=1, le=366, description="How many days, today included.")] = 7,
) -> OwnUsage:
    """Today's counts, the plan's limits and when they reset, and the days before."""
    services, tenant = services_of(request), tenant_of(request)
    now = services.clock()
    counted = UsageDays(services.bigquery, tenant.tenant_id)
    asked = timedelta(days=days - 1)
    # live runs are told of the whole window, however few days are asked for
    found = await services.blocking(counted.recent, now, max(asked, WINDOW))
    a_minute, an_hour = requests_allowed(tenant.plan, services.settings)
    return OwnUsage(
        tenant_id=tenant.tenant_id,
        plan=tenant.plan,
        quota=quota_of(found, PLAN_LIMITS[tenant.plan], now),
        requests=RequestLimits(a_minute=a_minute, an_hour=an_hour),
        days=[day for day in days_of(found) if day.day >= now.date() - asked],
    )


@router.get(
    "/me/tables",
    summary="What tables have I?",
    dependencies=[needs(Scope.TABLES_READ)],
    responses=documented(*OWN_TENANT_ERRORS),
)
async def tables(request: Request) -> OwnTables:
    """The tables of the caller's own dataset with their columns and how many rows they have."""
    services, dataset_id = services_of(request), tenant_dataset(tenant_of(request).tenant_id)
    found = await services.blocking(tables_of, services.bigquery, dataset_id)
    return OwnTables(dataset_id=dataset_id, tables=found)


def own_facts(tenant: KnownTenant, caller: KeyRecord, settings: Settings) -> Me:
    """What a tenant sees of itself."""
    plan = PLAN_LIMITS[tenant.plan]
    a_minute, an_hour = requests_allowed(tenant.plan, settings)
    # checked as a whole: three models one by one would take twice the time
    return Me.model_validate(
        {
            "tenant_id": tenant.tenant_id,
            "state": tenant.state,
            "company_name": tenant.company_name,
            "description": tenant.description,
            "plan": tenant.plan,
            "created_at": tenant.created_at,
            "limits": {
                "requests_per_minute": a_minute,
                "requests_per_hour": an_hour,
                "runs_per_day": plan.runs_per_day,
                "concurrent_runs": plan.concurrent_runs,
            },
            "key": {
                "key_id": caller.key_id,
                "description": caller.description,
                "scopes": caller.scopes,
                "expires_at": caller.expires_at,
            },
        }
    )
