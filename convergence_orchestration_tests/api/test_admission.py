from datetime import UTC, datetime, timedelta

import pytest

from convergence_orchestration.api.admission import (
    UNLAUNCHED_AFTER,
    in_progress,
    is_abandoned,
    refuse_if_there,
)
from convergence_orchestration.api.runs import RunStatus
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.model import (
    Plan,
    RequestId,
    RequestKind,
    RequestState,
    Tenant,
    TenantRequest,
    TenantState,
    parse_new_tenant,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def tenant(state: TenantState) -> Tenant:
    wanted = parse_new_tenant("acmecorp")
    return Tenant(
        wanted.tenant_id, state, "", "", "", Plan.STARTER, "tenant_acmecorp", RequestId("req_a"), NOW, NOW
    )


def open_request(updated_at: datetime) -> TenantRequest:
    wanted = parse_new_tenant("acmecorp")
    return TenantRequest(
        request_id=RequestId("req_a"),
        tenant_id=wanted.tenant_id,
        kind=RequestKind.ONBOARD,
        state=RequestState.REQUESTED,
        parameters=wanted,
        run_id=None,
        reason=None,
        error_code=None,
        attempt=1,
        requested_at=updated_at,
        updated_at=updated_at,
    )


@pytest.mark.parametrize("state", [state for state in TenantState if state is not TenantState.PROVISIONING])
def test_a_tenant_in_any_state_keeps_its_id(state: TenantState) -> None:
    with pytest.raises(PermanentError) as raised:
        refuse_if_there(tenant(state))

    assert raised.value.code is ErrorCode.TENANT_EXISTS
    assert raised.value.details["state"] == state


@pytest.mark.parametrize("existing", [None, tenant(TenantState.PROVISIONING)])
def test_an_id_without_a_finished_tenant_is_free(existing: Tenant | None) -> None:
    refuse_if_there(existing)


@pytest.mark.parametrize("statuses", [[RunStatus.FAILURE], [RunStatus.FAILURE, RunStatus.CANCELED]])
def test_a_request_is_abandoned_once_all_its_runs_ended_badly(statuses: list[RunStatus]) -> None:
    assert is_abandoned(open_request(NOW), statuses, NOW)


@pytest.mark.parametrize("last", [RunStatus.STARTED, RunStatus.QUEUED, RunStatus.SUCCESS, RunStatus.UNKNOWN])
def test_a_request_is_not_abandoned_while_one_of_its_runs_may_do_it(last: RunStatus) -> None:
    assert not is_abandoned(open_request(NOW - timedelta(hours=1)), [RunStatus.FAILURE, last], NOW)


def test_a_request_without_a_run_is_abandoned_when_nobody_can_be_about_to_launch_one() -> None:
    assert not is_abandoned(open_request(NOW - UNLAUNCHED_AFTER), [], NOW)
    assert is_abandoned(open_request(NOW - UNLAUNCHED_AFTER - timedelta(seconds=1)), [], NOW)


def test_a_request_in_progress_names_itself() -> None:
    error = in_progress(open_request(NOW))

    assert error.code is ErrorCode.REQUEST_IN_PROGRESS
    assert error.details == {"request_id": "req_a", "state": "REQUESTED", "run_id": None}
