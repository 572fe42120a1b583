"""GET /tenants/me: the calling tenant's own profile and what it may know of its key; nothing of anybody else."""

from fastapi import APIRouter, Request

from convergence_orchestration.api.auth import TenantRoute, caller_of, tenant_key_header
from convergence_orchestration.api.bodies import KeyFacts, Me, OwnLimits
from convergence_orchestration.api.services import services_of
from convergence_orchestration.api.statuses import documented
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.keys.model import KeyRecord
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import PLAN_LIMITS, Tenant

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
    """The tenant that the key belongs to; its profile may be as old as the key index may be."""
    services, caller = services_of(request), caller_of(request)
    tenant = services.profiles.fresh(caller.tenant_id)
    if tenant is None:
        tenant = await services.blocking(services.profiles.read, caller.tenant_id)
    if tenant is None:
        raise PermanentError(
            ErrorCode.TENANT_NOT_FOUND, "Ask the administrators: your tenant is not there any more."
        )
    return own_facts(tenant, caller, services.settings)


def own_facts(tenant: Tenant, caller: KeyRecord, settings: Settings) -> Me:
    """What a tenant sees of itself."""
    plan = PLAN_LIMITS[tenant.plan]
    return Me(
        tenant_id=tenant.tenant_id,
        state=tenant.state,
        company_name=tenant.company_name,
        description=tenant.description,
        plan=tenant.plan,
        created_at=tenant.created_at,
        limits=OwnLimits(
            requests_per_minute=settings.tenant_requests_per_minute,
            requests_per_hour=settings.tenant_requests_per_hour,
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
