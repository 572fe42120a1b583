from datetime import timedelta

import pytest

from convergence_orchestration.errors import TRANSIENT_CODES, ErrorCode
from convergence_orchestration.tenancy.request_model import RequestState
from convergence_orchestration.tenancy.retries import MOST_ATTEMPTS, NextStep, outlook, pause_after
from convergence_orchestration_tests.tenancy.builders import T0, seconds


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (RequestState.REQUESTED, NextStep.LAUNCH),
        (RequestState.RUNNING, NextStep.FINISH),
        (RequestState.DONE, NextStep.NOTHING),
    ],
)
def test_what_has_not_failed_goes_its_way(state: RequestState, step: NextStep) -> None:
    assert outlook(state, 1, None, T0).step is step


@pytest.mark.parametrize("code", sorted(TRANSIENT_CODES))
def test_a_failure_that_may_pass_is_tried_again_after_a_pause(code: ErrorCode) -> None:
    found = outlook(RequestState.FAILED, 1, code, T0)
    assert (found.step, found.retry_at) == (NextStep.RETRY, seconds(30))


@pytest.mark.parametrize("code", sorted(set(ErrorCode) - TRANSIENT_CODES))
def test_a_permanent_failure_is_not_tried_again_by_itself(code: ErrorCode) -> None:
    found = outlook(RequestState.FAILED, 1, code, T0)
    assert (found.step, found.retry_at) == (NextStep.NOTHING, None)
    assert "permanent" in found.sentence


def test_after_the_last_attempt_nothing_is_tried_by_itself() -> None:
    assert outlook(RequestState.FAILED, MOST_ATTEMPTS - 1, ErrorCode.UNAVAILABLE, T0).step is NextStep.RETRY
    last = outlook(RequestState.FAILED, MOST_ATTEMPTS, ErrorCode.UNAVAILABLE, T0)
    assert (last.step, last.retry_at) == (NextStep.NOTHING, None)
    assert f"{MOST_ATTEMPTS} attempts" in last.sentence


def test_pauses_double_up_to_half_an_hour() -> None:
    assert [pause_after(attempt).total_seconds() for attempt in (1, 2, 3, 4)] == [30, 60, 120, 240]
    assert pause_after(1000) == timedelta(minutes=30)
