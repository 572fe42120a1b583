"""Tenants, requests and events for tests; every argument has a value that most tests do not care about."""

from datetime import UTC, datetime, timedelta

from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.tenancy.asked import Asked, NewTenant, kind_of
from convergence_orchestration.tenancy.model import Plan, Tenant, TenantId, TenantState
from convergence_orchestration.tenancy.request_model import (
    RequestEvent,
    RequestId,
    RequestState,
    TenantRequest,
)

T0 = datetime(2026, 11, 20, 12, tzinfo=UTC)
FIRST = RequestId("req_" + "a" * 26)
SECOND = RequestId("req_" + "b" * 26)
ACME = NewTenant(TenantId("acme"), "what they do", "Acme Ltd", "ops@acme.example", Plan.PROFESSIONAL)


def seconds(number: float) -> datetime:
    return T0 + timedelta(seconds=number)


def event(
    state: RequestState,
    at: float = 0,
    request_id: RequestId = FIRST,
    attempt: int = 1,
    error_code: ErrorCode | None = None,
    asked: Asked = ACME,
) -> RequestEvent:
    """An event; one that asks says what for, another one which run it happened in."""
    is_first = state is RequestState.REQUESTED
    return RequestEvent(
        request_id=request_id,
        tenant_id=asked.tenant_id,
        kind=kind_of(asked),
        state=state,
        recorded_at=seconds(at),
        actor="somebody",
        attempt=attempt,
        parameters=asked if is_first else None,
        run_id=None if is_first else f"run-{attempt}",
        reason="it broke" if error_code else None,
        error_code=error_code,
    )


def request(
    asked: Asked, at: float = 0, request_id: RequestId = FIRST, state: RequestState = RequestState.REQUESTED
) -> TenantRequest:
    return TenantRequest(
        request_id=request_id,
        tenant_id=asked.tenant_id,
        kind=kind_of(asked),
        state=state,
        parameters=asked,
        actor="somebody",
        run_id=None,
        reason=None,
        error_code=None,
        attempt=1,
        batch_id=None,
        requested_at=seconds(at),
        updated_at=seconds(at),
    )


def tenant(tenant_id: str = "acme", state: TenantState = TenantState.ACTIVE, at: float = 0) -> Tenant:
    return Tenant(
        tenant_id=TenantId(tenant_id),
        state=state,
        company_name="Acme Ltd",
        description="what they do",
        admin_email="ops@acme.example",
        plan=Plan.PROFESSIONAL,
        dataset_id=f"tenant_{tenant_id}",
        request_id=FIRST,
        created_at=seconds(at),
        updated_at=seconds(at),
        state_changed_by=FIRST,
        state_asked_at=seconds(at),
    )
