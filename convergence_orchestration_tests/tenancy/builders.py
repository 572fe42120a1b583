"""Tenants, requests and events for tests; every argument has a value that most tests do not care about."""

from datetime import UTC, datetime, timedelta

from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.tenancy.model import (
    NewTenant,
    Plan,
    RequestEvent,
    RequestId,
    RequestState,
    Tenant,
    TenantId,
    TenantState,
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
    asked: NewTenant | None = None,
) -> RequestEvent:
    is_first = state is RequestState.REQUESTED
    return RequestEvent(
        request_id=request_id,
        tenant_id=ACME.tenant_id,
        state=state,
        recorded_at=seconds(at),
        actor="somebody",
        attempt=attempt,
        parameters=asked or (ACME if is_first else None),
        run_id=None if is_first else f"run-{attempt}",
        reason="it broke" if error_code else None,
        error_code=error_code,
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
    )
