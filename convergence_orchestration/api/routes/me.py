"""GET /tenants/me: the calling tenant's own profile and what it may know of its key; nothing of anybody else."""

from fastapi import APIRouter, Request

from convergence_orchestration.api.auth import TenantRoute, caller_of, tenant_key_header, tenant_of
from convergence_orchestration.api.bodies import KeyFacts, Me, OwnLimits
from convergence_orchestration.api.rate_limits import requests_allowed
from convergence_orchestration.api.services import services_of
from convergence_orchestration.api.statuses import documented
from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.keys.model import KeyRecord
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.index import KnownTenant
from convergence_orchestration.tenancy.model import PLAN_LIMITS

router = APIRouter(
    prefix="/api/v1/tenants",
    tags=["own tenant"],
    route_class=TenantRoute,
    dependencies=[tenant_key_header],
)


@router.get(
    "/me",
    summary="Who am I?",
    responses=documented(
        ErrorCode.UNAUTHORIZED, ErrorCode.TENANT_NOT_FOUND, ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE
    ),
)
async def me(request: Request) -> Me:
    """The tenant that the key belongs to; its profile may be as old as the tenant index may be."""
    return own_facts(tenant_of(request), caller_of(request), services_of(request).settings)


def own_facts(tenant: KnownTenant, caller: KeyRecord, settings: Settings) -> Me:
    """What a tenant sees of itself."""
    plan = PLAN_LIMITS[tenant.plan]
    a_minute, an_hour = requests_allowed(tenant.plan, settings)
    return Me(
        tenant_id=tenant.tenant_id,
        state=tenant.state,
        company_name=tenant.company_name,
        description=tenant.description,
        plan=tenant.plan,
        created_at=tenant.created_at,
        limits=OwnLimits(
            requests_per_minute=a_minute,
            requests_per_hour=an_hour,
            runs_per_day=plan.runs_per_day,
            concurrent_runs=plan.concurrent_runs,
        ),
        key=KeyFacts(
            key_id=caller.key_id,
            description=caller.description,
            scopes=list(caller.scopes),
            expires_at=caller.expires_at,
        ),
    )
