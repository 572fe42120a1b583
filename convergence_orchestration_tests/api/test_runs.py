from typing import Any

import pytest

from convergence_orchestration.api import runs
from convergence_orchestration.api.runs import RunFailure, RunId, RunOutcome, RunStatus
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration_tests.api.dagster_standin import step_failure


def crashed(*messages: str) -> dict[str, Any]:
    error: dict[str, Any] | None = None
    for message in reversed(messages):
        error = {"message": message, "cause": error}
    return {
        "__typename": "ExecutionStepFailureEvent",
        "stepKey": "onboard",
        "error": error,
        "failureMetadata": None,
    }


def test_a_step_that_failed_with_our_error_gives_its_code_first_line_and_details() -> None:
    error = PermanentError(ErrorCode.TENANT_EXISTS, "Choose another id.\nMore.", {"claimed_by": "req_x"})

    failure = runs.failure([{"__typename": "RunStartEvent"}, step_failure(error)])

    assert failure == RunFailure(ErrorCode.TENANT_EXISTS, "Choose another id.", {"claimed_by": "req_x"})


def test_a_step_that_crashed_gives_what_our_code_raised_and_not_dagsters_wrapping() -> None:
    event = crashed(
        "dagster._core.errors.DagsterExecutionStepExecutionError: Error occurred\n",
        "ValueError: the value is wrong\nsecond line\n",
        "KeyError: 'inner'\n",
    )

    failure = runs.failure([event])

    assert failure is not None
    assert failure.code is ErrorCode.INTERNAL
    assert failure.message.endswith("step onboard failed with ValueError: the value is wrong")


@pytest.mark.parametrize("event", [crashed(), crashed("")])
def test_a_step_that_failed_without_a_reason_says_so(event: dict[str, Any]) -> None:
    failure = runs.failure([event])

    assert failure is not None
    assert failure.message.endswith("no reason given.")


def test_a_failure_with_an_unknown_code_is_a_defect() -> None:
    event = step_failure(PermanentError(ErrorCode.NOT_FOUND, "Something."))
    event["failureMetadata"]["metadataEntries"][0]["text"] = "no_such_code"

    failure = runs.failure([event])

    assert failure is not None
    assert failure.code is ErrorCode.INTERNAL


def test_details_that_are_no_object_are_left_out() -> None:
    event = step_failure(PermanentError(ErrorCode.NOT_FOUND, "Something."))
    event["failureMetadata"]["metadataEntries"][1]["jsonString"] = "[1]"

    failure = runs.failure([event])

    assert failure == RunFailure(ErrorCode.NOT_FOUND, "Something.")


def test_the_first_failed_step_counts_and_not_the_runs_own_failure() -> None:
    error = PermanentError(ErrorCode.TENANT_EXISTS, "Choose another id.")

    failure = runs.failure(
        [{"__typename": "RunFailureEvent", "message": "Steps failed."}, step_failure(error)]
    )

    assert failure is not None
    assert failure.code is ErrorCode.TENANT_EXISTS


def test_a_run_whose_audit_row_could_not_be_written_may_be_asked_for_again() -> None:
    message = "convergence_orchestration.errors.TransientError: Try again: no audit row.\n"
    event = {"__typename": "RunFailureEvent", "message": "x", "error": {"message": message, "cause": None}}

    assert runs.failure([event]) == RunFailure(ErrorCode.UNAVAILABLE, "Try again: no audit row.")


def test_a_run_that_failed_before_its_steps_gives_what_was_raised() -> None:
    event = {
        "__typename": "RunFailureEvent",
        "message": "x",
        "error": {"message": "RuntimeError: no disk\n", "cause": None},
    }

    failure = runs.failure([event])

    assert failure == RunFailure(
        ErrorCode.INTERNAL,
        "Look at the run in Dagster: it failed before its first step: RuntimeError: no disk",
    )


def test_a_run_whose_worker_died_may_be_tried_again() -> None:
    event = {"__typename": "RunFailureEvent", "message": "Detected run worker status FAILED.", "error": None}

    failure = runs.failure([event])

    assert failure == RunFailure(
        ErrorCode.UNAVAILABLE, "Send the request again: its run died. Detected run worker status FAILED."
    )


def test_events_without_a_failure_give_none() -> None:
    assert runs.failure([{"__typename": "RunStartEvent"}]) is None


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ({"text": "created"}, "created"),
        ({"url": "https://example.com"}, "https://example.com"),
        ({"jsonString": '{"a": [1]}'}, {"a": [1]}),
        ({"intRepr": "1099511627776"}, 2**40),
        ({"floatValue": 0.5}, 0.5),
        ({"boolValue": False}, False),
        ({"timestamp": 1.5}, 1.5),
        ({}, None),
    ],
)
def test_metadata_entries_are_read_as_plain_values(entry: dict[str, Any], value: object) -> None:
    assert runs.metadata([{"label": "it", **entry}]) == {"it": value}


def test_a_materialization_without_an_asset_key_has_an_empty_one() -> None:
    assert runs.materialization({"assetKey": None}).asset_key == ()


@pytest.mark.parametrize(
    ("code", "kind"), [(ErrorCode.UNAVAILABLE, TransientError), (ErrorCode.TENANT_EXISTS, PermanentError)]
)
def test_a_failed_outcome_is_an_error_that_names_the_run(code: ErrorCode, kind: type[Exception]) -> None:
    outcome = RunOutcome(RunId("r1"), RunStatus.FAILURE, RunFailure(code, "Do it otherwise.", {"a": 1}))

    error = outcome.error("http://dagster/runs/r1")

    assert isinstance(error, kind)
    assert error.details == {"a": 1, "run_id": "r1", "run_url": "http://dagster/runs/r1"}


def test_a_run_that_goes_on_is_no_error() -> None:
    assert RunOutcome(RunId("r1"), RunStatus.STARTED).error("http://dagster/runs/r1") is None
