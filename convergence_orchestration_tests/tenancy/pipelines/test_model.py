from itertools import permutations

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.pipelines.model import (
    PIPELINE_TRANSITIONS,
    Pipeline,
    PipelineState,
    parse_pipeline_asked,
    parse_pipeline_run_id,
    pipeline_run_id,
    run_of,
)
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration_tests.tenancy.pipelines.builders import event, seconds

ACME, GLOBEX = TenantId("acme"), TenantId("globex")


def test_a_run_is_what_its_events_say_in_whatever_order_they_came() -> None:
    events = [
        event(PipelineState.QUEUED, at=0, parameters="{}", key_id="key", run_id="launched"),
        event(PipelineState.RUNNING, at=1, started_at=seconds(1), run_id="worker"),
        event(PipelineState.SUCCEEDED, at=2, finished_at=seconds(2), rows_written=4, run_id="worker"),
    ]
    for order in permutations(events):
        one = run_of(order)
        assert one is not None
        assert (one.state, one.requested_at, one.started_at) == (
            PipelineState.SUCCEEDED,
            seconds(0),
            seconds(1),
        )
        assert (one.finished_at, one.rows_written) == (seconds(2), 4)
        assert (one.parameters, one.key_id, one.run_id) == ("{}", "key", "worker")


def test_there_is_no_run_without_an_event() -> None:
    assert run_of([]) is None


def test_the_first_end_counts() -> None:
    one = run_of(
        [event(PipelineState.SUCCEEDED, at=3), event(PipelineState.FAILED, at=2), event(PipelineState.QUEUED)]
    )
    assert one is not None
    assert one.state is PipelineState.FAILED


def test_a_run_whose_worker_was_faster_than_the_api_is_running() -> None:
    one = run_of([event(PipelineState.QUEUED, at=5, run_id="a"), event(PipelineState.RUNNING, at=4)])
    assert one is not None
    assert (one.state, one.run_id) == (PipelineState.RUNNING, "a")


def test_only_what_has_ended_stays_as_it_is() -> None:
    assert {state for state in PipelineState if state.is_final} == {
        PipelineState.SUCCEEDED,
        PipelineState.FAILED,
        PipelineState.CANCELLED,
    }
    assert PIPELINE_TRANSITIONS.keys() == set(PipelineState)


def test_a_tenants_key_stands_for_one_run_and_another_tenants_for_another() -> None:
    assert pipeline_run_id(ACME, "nightly") == pipeline_run_id(ACME, "nightly")
    assert pipeline_run_id(ACME, "nightly") != pipeline_run_id(GLOBEX, "nightly")
    assert pipeline_run_id(ACME, None) != pipeline_run_id(ACME, None)
    for one in (pipeline_run_id(ACME, "nightly"), pipeline_run_id(ACME, None)):
        assert parse_pipeline_run_id(one) == one


@pytest.mark.parametrize("value", ["", "run_", "run_" + "A" * 26, "run_" + "a" * 27, "' OR 1=1 --"])
def test_what_is_no_run_id_is_refused(value: str) -> None:
    with pytest.raises(PermanentError) as raised:
        parse_pipeline_run_id(value)
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT


def test_parameters_left_out_mean_every_table_and_a_day() -> None:
    asked = parse_pipeline_asked("data_quality", {})
    assert asked.pipeline is Pipeline.DATA_QUALITY
    assert asked.parameters.tables == tuple(spec.name for spec in tenant_tables())
    assert asked.parameters.max_age_hours == 24


def test_tables_are_chosen_once_each_and_in_the_catalogues_order() -> None:
    asked = parse_pipeline_asked("data_quality", {"tables": ["step_logs", "dq_results", "step_logs"]})
    assert asked.parameters.tables == ("dq_results", "step_logs")
