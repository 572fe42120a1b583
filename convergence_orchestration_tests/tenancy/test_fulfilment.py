from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.asked import Asked, Deletion, NewTenant, Offboarding, Suspension
from convergence_orchestration.tenancy.changes import Changes
from convergence_orchestration.tenancy.fulfilment import Done, Fulfilment
from convergence_orchestration.tenancy.model import TenantId, TenantState
from convergence_orchestration.tenancy.provisioning import Limits
from convergence_orchestration.tenancy.registry import Tenants
from convergence_orchestration.tenancy.request_model import (
    RequestId,
    RequestState,
    TenantRequest,
    new_batch_id,
    new_request_id,
)
from convergence_orchestration.tenancy.requests import TenantRequests
from convergence_orchestration.warehouse.model import tenant_dataset
from convergence_orchestration_tests.emulators import fresh_project_id
from convergence_orchestration_tests.tenancy.builders import ACME, event, seconds, tenant
from convergence_orchestration_tests.tenancy.dying import DyingBigQuery, KilledError

REQUESTED, RUNNING, DONE, FAILED = RequestState


@dataclass
class Clock:
    """Each look is a second later than the one before."""

    now: float = 100

    def __call__(self) -> datetime:
        self.now += 1
        return seconds(self.now)


@dataclass
class Witness:
    """Remembers what it saw; may object to a deletion."""

    seen: list[Done] = field(default_factory=list)
    in_flight: bool = False

    def saw(self, done: Sequence[Done]) -> None:
        self.seen += done

    def before_deletion(self, request: TenantRequest) -> None:
        if self.in_flight:
            raise TransientError(
                ErrorCode.UNAVAILABLE, f"Wait for the run that works on {request.tenant_id}."
            )


def no_keys(*_: object, **__: object) -> None:
    """Nobody has a key here."""


def fulfilment(
    bigquery: BigQuery, *, run_id: str = "run-1", is_last_try: bool = False, witness: Witness | None = None
) -> Fulfilment:
    return Fulfilment(
        bigquery=bigquery,
        changes=Changes(bigquery, no_keys, run_id),
        limits=Limits(tables_per_second=1000),
        witness=witness or Witness(),
        run_id=run_id,
        actor="the run",
        is_last_try=is_last_try,
        clock=Clock(),
    )


def asked_for(bigquery: BigQuery, what: Asked, at: float = 0) -> RequestId:
    """Write the request down, as the API does."""
    request_id = new_request_id()
    TenantRequests(bigquery).append(event(REQUESTED, at, request_id, asked=what))
    return request_id


def told(bigquery: BigQuery, request_id: RequestId) -> list[tuple[int, RequestState]]:
    return [(each.attempt, each.state) for each in TenantRequests(bigquery).events(request_id)]


def new_tenant(tenant_id: TenantId) -> NewTenant:
    return replace(ACME, tenant_id=tenant_id)


def test_a_request_is_carried_out_and_every_step_is_told(bigquery: BigQuery, tenant_id: TenantId) -> None:
    request_id, witness = asked_for(bigquery, new_tenant(tenant_id)), Witness()

    summary = fulfilment(bigquery, witness=witness).fulfil([request_id])

    assert told(bigquery, request_id) == [(1, REQUESTED), (1, RUNNING), (1, DONE)]
    assert [each.request.request_id for each in summary.done] == [request_id]
    assert witness.seen == summary.done
    running = TenantRequests(bigquery).events(request_id)[1]
    assert (running.run_id, running.actor, running.parameters) == ("run-1", "the run", None)
    found = Tenants(bigquery).get(tenant_id)
    assert found is not None
    assert (found.state, found.request_id) == (TenantState.ACTIVE, request_id)


def test_what_is_done_already_is_not_done_again(bigquery: BigQuery, tenant_id: TenantId) -> None:
    Tenants(bigquery).activate_profiles([tenant(tenant_id)])
    request_id = asked_for(bigquery, Suspension(tenant_id), 10)
    fulfilment(bigquery).fulfil([request_id])
    witness = Witness()
    summary = fulfilment(bigquery, run_id="run-2", witness=witness).fulfil([request_id])
    assert (summary.done, summary.failed, summary.error()) == ([], [], None)
    assert [each.request_id for each in summary.done_before] == [request_id]
    assert witness.seen == []
    assert len(told(bigquery, request_id)) == 3


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_killed_behind_any_write_the_next_run_finishes_the_request(
    project: Settings, bigquery: BigQuery, tenant_id: TenantId, writes: int
) -> None:
    Tenants(bigquery).activate_profiles([tenant(tenant_id)])
    request_id = asked_for(bigquery, Suspension(tenant_id), 10)
    with pytest.raises(KilledError):
        fulfilment(DyingBigQuery(bigquery_client(project), writes)).fulfil([request_id])

    fulfilment(bigquery, run_id="run-2").fulfil([request_id])

    states = [state for _, state in told(bigquery, request_id)]
    assert (states[-1], states.count(REQUESTED), states.count(DONE)) == (DONE, 1, 1)
    found = Tenants(bigquery).get(tenant_id)
    assert found is not None
    assert found.state is TenantState.SUSPENDED


def test_a_permanent_failure_is_told_with_its_reason_and_fails_the_run(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    bigquery.create_dataset(tenant_dataset(tenant_id), description="In the way.", labels={})
    request_id = asked_for(bigquery, new_tenant(tenant_id))
    error = fulfilment(bigquery).fulfil([request_id]).error()
    assert isinstance(error, PermanentError)
    assert error.code is ErrorCode.TENANT_EXISTS
    request = TenantRequests(bigquery).get(request_id)
    assert request is not None
    assert (request.state, request.error_code, request.reason) == (FAILED, error.code, error.message)


def test_a_row_that_fails_does_so_alone_and_is_listed(bigquery: BigQuery, tenant_id: TenantId) -> None:
    Tenants(bigquery).activate_profiles([tenant(tenant_id)])
    good = asked_for(bigquery, Suspension(tenant_id), 10)
    bad = asked_for(bigquery, Suspension(TenantId("nobody")), 10)

    summary = fulfilment(bigquery).fulfil([bad, good])

    assert summary.error() is None
    assert [each.request.request_id for each in summary.done] == [good]
    assert [(request.request_id, error.code) for request, error in summary.failed] == [
        (bad, ErrorCode.TENANT_NOT_FOUND)
    ]
    assert told(bigquery, bad)[-1] == (1, FAILED)


class FailingBigQuery(BigQuery):
    """Changes nothing, for a reason that may pass."""

    error: Exception = TransientError(ErrorCode.UNAVAILABLE, "Try again.")

    def execute(self, sql: str, params: object = ()) -> int:
        assert sql, params
        raise self.error


@pytest.mark.parametrize(("is_last_try", "expected"), [(False, RUNNING), (True, FAILED)])
def test_a_failure_that_may_pass_is_told_when_the_step_is_not_tried_again(
    project: Settings, bigquery: BigQuery, tenant_id: TenantId, expected: RequestState, *, is_last_try: bool
) -> None:
    request_id = asked_for(bigquery, Suspension(tenant_id))
    summary = fulfilment(FailingBigQuery(bigquery_client(project)), is_last_try=is_last_try).fulfil(
        [request_id]
    )
    assert isinstance(summary.error(), TransientError)
    assert told(bigquery, request_id)[-1] == (1, expected)


def test_a_failure_that_may_pass_is_told_if_others_succeeded(bigquery: BigQuery, tenant_id: TenantId) -> None:
    waiting, fine = TenantId(f"{tenant_id}_waiting"), TenantId(f"{tenant_id}_fine")
    Tenants(bigquery).activate_profiles([tenant(waiting), tenant(fine)])
    fulfilment(bigquery).fulfil([asked_for(bigquery, Offboarding(waiting, retention_days=0), 10)])
    deletion = asked_for(bigquery, Deletion(waiting), 20)
    suspension = asked_for(bigquery, Suspension(fine), 20)

    summary = fulfilment(bigquery, witness=Witness(in_flight=True)).fulfil([deletion, suspension])

    assert summary.error() is None
    assert told(bigquery, deletion)[-1] == (1, FAILED)
    request = TenantRequests(bigquery).get(deletion)
    assert request is not None
    assert request.error_code is ErrorCode.UNAVAILABLE


def test_a_defect_is_told_as_one(project: Settings, bigquery: BigQuery, tenant_id: TenantId) -> None:
    request_id = asked_for(bigquery, Suspension(tenant_id))
    failing = FailingBigQuery(bigquery_client(project))
    failing.error = ZeroDivisionError("a defect")
    error = fulfilment(failing).fulfil([request_id]).error()
    assert error is not None
    assert "ZeroDivisionError" in error.message
    request = TenantRequests(bigquery).get(request_id)
    assert request is not None
    assert (request.state, request.error_code) == (FAILED, ErrorCode.INTERNAL)


def test_what_fails_for_all_is_told_for_each(
    project: Settings, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    ids = [asked_for(bigquery, new_tenant(TenantId(f"{tenant_id}_{letter}"))) for letter in "ab"]
    summary = fulfilment(FailingBigQuery(bigquery_client(project)), is_last_try=True).fulfil(ids)
    assert summary.error() is not None
    assert [told(bigquery, each)[-1] for each in ids] == [(1, FAILED)] * 2
    for letter in "ab":
        bigquery.delete_dataset(tenant_dataset(f"{tenant_id}_{letter}"))


class ForgetfulBigQuery(FailingBigQuery):
    """Takes every event but a failure."""

    def append(self, dataset_id: str, table_id: str, rows: Sequence[Mapping[str, object]]) -> None:
        if rows[0]["state"] == "FAILED":
            raise TransientError(ErrorCode.UNAVAILABLE, "The second failure.")
        super().append(dataset_id, table_id, rows)


def test_a_failure_that_cannot_be_told_does_not_hide_the_first_one(
    project: Settings, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    request_id = asked_for(bigquery, Suspension(tenant_id))
    forgetful = ForgetfulBigQuery(bigquery_client(project))
    error = fulfilment(forgetful, is_last_try=True).fulfil([request_id]).error()
    assert error is not None
    assert error.message == "Try again."
    assert told(bigquery, request_id)[-1] == (1, RUNNING)


def test_a_run_after_a_failure_is_another_attempt(
    project: Settings, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    Tenants(bigquery).activate_profiles([tenant(tenant_id)])
    request_id = asked_for(bigquery, Suspension(tenant_id), 10)
    fulfilment(FailingBigQuery(bigquery_client(project)), is_last_try=True).fulfil([request_id])
    fulfilment(bigquery, run_id="run-2").fulfil([request_id])
    assert told(bigquery, request_id) == [
        (1, REQUESTED),
        (1, RUNNING),
        (1, FAILED),
        (2, RUNNING),
        (2, DONE),
    ]


def test_requests_nobody_wrote_down_are_refused_and_nothing_is_done(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    known, unknown = asked_for(bigquery, Suspension(tenant_id)), new_request_id()
    with pytest.raises(PermanentError, match="nobody wrote down") as raised:
        fulfilment(bigquery).fulfil([known, unknown])
    assert raised.value.details == {"unknown": [unknown]}
    assert told(bigquery, known) == [(1, REQUESTED)]


def test_more_requests_than_go_at_a_time_are_all_carried_out(bigquery: BigQuery, tenant_id: TenantId) -> None:
    Tenants(bigquery).activate_profiles([tenant(tenant_id)])
    suspensions = [
        event(REQUESTED, place, new_request_id(), asked=Suspension(tenant_id)) for place in range(1, 53)
    ]
    TenantRequests(bigquery).append(*suspensions)
    summary = fulfilment(bigquery).fulfil([each.request_id for each in suspensions])
    assert len(summary.done) == 52


def test_an_event_names_the_batch_its_request_came_with(bigquery: BigQuery, tenant_id: TenantId) -> None:
    Tenants(bigquery).activate_profiles([tenant(tenant_id)])
    asked = replace(
        event(REQUESTED, 10, new_request_id(), asked=Suspension(tenant_id)), batch_id=new_batch_id()
    )
    TenantRequests(bigquery).append(asked)
    fulfilment(bigquery).fulfil([asked.request_id])
    assert {each.batch_id for each in TenantRequests(bigquery).events(asked.request_id)} == {asked.batch_id}


def test_without_a_bootstrap_nothing_is_made(project: Settings, tenant_id: TenantId) -> None:
    fresh = BigQuery(bigquery_client(project.model_copy(update={"gcp_project_id": fresh_project_id()})))
    with pytest.raises(PermanentError):
        fulfilment(fresh).fulfil([new_request_id()])
    assert fresh.get_dataset(tenant_dataset(tenant_id)) is None
