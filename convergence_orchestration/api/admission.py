"""Whether a tenant that is asked for may be made: the decision alone, on what was read before.

What belongs here: pure functions over tenants, requests and run statuses, with the clock passed in. Asking and
writing is `onboarding.py`. What is decided here saves a run; the claim inside the run decides for good.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from convergence_orchestration.api.runs import RunStatus
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.model import Tenant, TenantRequest, TenantState

UNLAUNCHED_AFTER = timedelta(seconds=60)
"""Whoever wrote down a request launches its run at once; without one after this long, that process is gone."""


def refuse_if_there(tenant: Tenant | None) -> None:
    """Refuse an id that a tenant has.

    Raises:
        PermanentError: TENANT_EXISTS.
    """
    if tenant is None or tenant.state is TenantState.PROVISIONING:
        return
    raise PermanentError(
        ErrorCode.TENANT_EXISTS,
        f"Choose another tenant id: there is a tenant {tenant.tenant_id} already, which is {tenant.state}.",
        {"tenant_id": tenant.tenant_id, "state": str(tenant.state), "request_id": tenant.request_id},
    )


def is_abandoned(request: TenantRequest, statuses: Iterable[RunStatus], now: datetime) -> bool:
    """Nothing works on this open request and nothing will: its runs ended badly, or it never had one."""
    known = list(statuses)
    if not known:
        return now - request.updated_at > UNLAUNCHED_AFTER
    return all(status in {RunStatus.FAILURE, RunStatus.CANCELED} for status in known)


def in_progress(request: TenantRequest) -> PermanentError:
    """The error for an id whose request is still being worked on."""
    return PermanentError(
        ErrorCode.REQUEST_IN_PROGRESS,
        f"Wait for request {request.request_id}, which is making {request.tenant_id}: "
        f"GET /api/v1/admin/tenant-requests/{request.request_id} tells how far it is.",
        {"request_id": request.request_id, "state": str(request.state), "run_id": request.run_id},
    )
