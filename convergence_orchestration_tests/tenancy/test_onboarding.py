from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import (
    NewTenant,
    Plan,
    RequestEvent,
    RequestState,
    TenantId,
    new_request_id,
)
from convergence_orchestration.tenancy.onboarding import Onboarding
from convergence_orchestration.tenancy.provisioning import claim
from convergence_orchestration.tenancy.registry import Tenants
from convergence_orchestration.tenancy.requests import TenantRequests
from convergence_orchestration_tests.emulators import fresh_project_id
from convergence_orchestration_tests.tenancy.builders import ACME, SECOND, seconds
from convergence_orchestration_tests.tenancy.dying import DyingBigQuery, KilledError

REQUESTED, RUNNING, DONE, FAILED = RequestState


@dataclass
class Clock:
    """Each look is a second later than the one before."""

    now: float = 0

    def __call__(self) -> datetime:
        self.now += 1
        return seconds(self.now)


def onboarding(bigquery: BigQuery, tenant_id: TenantId, run_id: str = "run-1") -> Onboarding:
    return Onboarding(
        bigquery=bigquery,
        request_id=new_request_id(),
        asked=replace(ACME, tenant_id=tenant_id),
        run_id=run_id,
        actor="somebody",
        is_last_try=False,
        clock=Clock(),
    )


def carried_out(one: Onboarding) -> None:
    with one.recorded() as provision:
        provision()


def only_recorded(one: Onboarding) -> None:
    """Nothing is provisioned, which `test_provisioning.py` looks at."""
    with one.recorded():
        pass


def told(one: Onboarding, bigquery: BigQuery) -> list[tuple[int, RequestState]]:
    return [(event.attempt, event.state) for event in TenantRequests(bigquery).events(one.request_id)]


def test_a_request_nobody_wrote_down_is_written_down_and_done(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    one = onboarding(bigquery, tenant_id)
    carried_out(one)
    assert told(one, bigquery) == [(1, REQUESTED), (1, RUNNING), (1, DONE)]
    request = TenantRequests(bigquery).get(one.request_id)
    assert request is not None
    assert (request.run_id, request.parameters) == ("run-1", one.asked)
    profile = Tenants(bigquery).get(tenant_id)
    assert profile is not None
    assert profile.request_id == one.request_id


def test_a_request_the_api_wrote_down_is_not_written_down_again(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    one = onboarding(bigquery, tenant_id)
    asked = RequestEvent(one.request_id, tenant_id, REQUESTED, seconds(0), "the api", parameters=one.asked)
    TenantRequests(bigquery).append(asked)
    only_recorded(one)
    assert told(one, bigquery) == [(1, REQUESTED), (1, RUNNING), (1, DONE)]
    assert TenantRequests(bigquery).events(one.request_id)[0] == asked


def test_a_request_that_is_done_is_not_recorded_again(bigquery: BigQuery, tenant_id: TenantId) -> None:
    one = onboarding(bigquery, tenant_id)
    only_recorded(one)
    only_recorded(replace(one, run_id="run-2"))
    assert len(told(one, bigquery)) == 3


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_killed_behind_any_event_the_next_run_finishes_the_request(
    project: Settings, bigquery: BigQuery, tenant_id: TenantId, writes: int
) -> None:
    one = onboarding(DyingBigQuery(bigquery_client(project), writes), tenant_id)
    with pytest.raises(KilledError):
        only_recorded(one)
    assert len(told(one, bigquery)) == writes

    only_recorded(replace(one, bigquery=bigquery, run_id="run-2"))

    states = [state for _, state in told(one, bigquery)]
    assert states[-1] is DONE
    assert (states.count(REQUESTED), states.count(DONE)) == (1, 1)


def test_a_permanent_failure_is_recorded_with_its_reason(bigquery: BigQuery, tenant_id: TenantId) -> None:
    claim(bigquery, tenant_id, SECOND)
    one = onboarding(bigquery, tenant_id)
    with pytest.raises(PermanentError, match="another tenant id"):
        carried_out(one)
    request = TenantRequests(bigquery).get(one.request_id)
    assert request is not None
    assert (request.state, request.error_code) == (FAILED, ErrorCode.TENANT_EXISTS)
    assert "another tenant id" in (request.reason or "")


@pytest.mark.parametrize(("is_last_try", "expected"), [(False, RUNNING), (True, FAILED)])
def test_a_failure_that_may_pass_is_recorded_when_nobody_tries_again(
    bigquery: BigQuery, tenant_id: TenantId, expected: RequestState, *, is_last_try: bool
) -> None:
    one = replace(onboarding(bigquery, tenant_id), is_last_try=is_last_try)
    with pytest.raises(TransientError), one.recorded():
        raise TransientError(ErrorCode.UNAVAILABLE, "Try again.")
    assert told(one, bigquery)[-1] == (1, expected)


def test_a_defect_is_recorded_as_one(bigquery: BigQuery, tenant_id: TenantId) -> None:
    one = onboarding(bigquery, tenant_id)
    with pytest.raises(ZeroDivisionError), one.recorded():
        _ = 1 / 0
    request = TenantRequests(bigquery).get(one.request_id)
    assert request is not None
    assert (request.state, request.error_code) == (FAILED, ErrorCode.INTERNAL)


class ForgetfulBigQuery(BigQuery):
    """Takes every event but a failure."""

    def append(self, dataset_id: str, table_id: str, rows: Sequence[Mapping[str, object]]) -> None:
        if rows[0]["state"] == "FAILED":
            raise TransientError(ErrorCode.UNAVAILABLE, "The second failure.")
        super().append(dataset_id, table_id, rows)


def test_a_failure_that_cannot_be_recorded_does_not_hide_the_first_one(
    project: Settings, tenant_id: TenantId
) -> None:
    one = onboarding(ForgetfulBigQuery(bigquery_client(project)), tenant_id)
    with pytest.raises(PermanentError, match="The first failure"), one.recorded():
        raise PermanentError(ErrorCode.INVALID_ARGUMENT, "The first failure.")


def test_a_second_run_after_a_failure_is_a_second_attempt(bigquery: BigQuery, tenant_id: TenantId) -> None:
    one = onboarding(bigquery, tenant_id)
    with pytest.raises(PermanentError), one.recorded():
        raise PermanentError(ErrorCode.PERMISSION_DENIED, "Grant the role.")
    only_recorded(replace(one, run_id="run-2"))
    assert told(one, bigquery) == [(1, REQUESTED), (1, RUNNING), (1, FAILED), (2, RUNNING), (2, DONE)]


def test_other_parameters_than_those_written_down_are_written_down(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    one = onboarding(bigquery, tenant_id)
    asked = RequestEvent(one.request_id, tenant_id, REQUESTED, seconds(0), "the api", parameters=one.asked)
    TenantRequests(bigquery).append(asked)
    corrected = replace(one.asked, plan=Plan.SCALE)
    only_recorded(replace(one, asked=corrected))
    assert told(one, bigquery) == [(1, REQUESTED), (2, REQUESTED), (2, RUNNING), (2, DONE)]
    request = TenantRequests(bigquery).get(one.request_id)
    assert request is not None
    assert request.parameters == corrected


def test_a_request_id_of_another_tenant_is_refused_and_nothing_is_recorded(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    one = onboarding(bigquery, tenant_id)
    TenantRequests(bigquery).append(
        RequestEvent(one.request_id, tenant_id, REQUESTED, seconds(0), "the api", parameters=one.asked)
    )
    other = replace(one, asked=NewTenant(TenantId("somebody_else")))
    with pytest.raises(PermanentError) as raised:
        carried_out(other)
    assert raised.value.details == {"request_id": one.request_id, "tenant_id": tenant_id}
    assert told(one, bigquery) == [(1, REQUESTED)]


def test_without_a_bootstrap_nothing_is_recorded_or_made(project: Settings, tenant_id: TenantId) -> None:
    fresh = BigQuery(bigquery_client(project.model_copy(update={"gcp_project_id": fresh_project_id()})))
    with pytest.raises(PermanentError) as raised:
        carried_out(onboarding(fresh, tenant_id))
    assert raised.value.code is ErrorCode.NOT_BOOTSTRAPPED
    assert fresh.get_dataset(f"tenant_{tenant_id}") is None
