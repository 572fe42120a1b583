from itertools import permutations

import pytest

from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.tenancy.asked import NewTenant, Suspension
from convergence_orchestration.tenancy.model import Plan, TenantId
from convergence_orchestration.tenancy.request_history import (
    in_order,
    next_attempt,
    request_of,
    requests_of,
    resumable,
)
from convergence_orchestration.tenancy.request_model import RequestState
from convergence_orchestration_tests.tenancy.builders import ACME, FIRST, SECOND, event, seconds

REQUESTED, RUNNING, DONE, FAILED = RequestState


def test_no_event_is_no_request() -> None:
    assert request_of([]) is None


def test_a_request_of_which_nobody_knows_what_was_asked_is_none_yet() -> None:
    assert request_of([event(RUNNING)]) is None


def test_the_state_is_the_last_ones_in_whatever_order_the_events_are_read() -> None:
    events = [event(REQUESTED, 0), event(RUNNING, 1), event(DONE, 2)]
    for shuffled in permutations(events):
        request = request_of(shuffled)
        assert request is not None
        assert request.state is DONE
        assert not request.is_open
        assert (request.requested_at, request.updated_at) == (seconds(0), seconds(2))


def test_a_clock_that_is_behind_does_not_turn_a_request_back() -> None:
    request = request_of([event(REQUESTED, 10), event(RUNNING, 3), event(DONE, 5)])
    assert request is not None
    assert request.state is DONE


def test_a_second_attempt_counts_more_than_the_failure_of_the_first() -> None:
    events = [event(REQUESTED), event(RUNNING, 1), event(FAILED, 9, error_code=ErrorCode.UNAVAILABLE)]
    request = request_of([*events, event(RUNNING, 4, attempt=2)])
    assert request is not None
    assert (request.state, request.attempt, request.error_code) == (RUNNING, 2, None)
    assert request.run_id == "run-2"
    assert request.is_open


def test_done_is_final_whatever_a_second_run_that_was_slower_says() -> None:
    events = [event(REQUESTED), event(RUNNING, 1), event(RUNNING, 2, attempt=2), event(DONE, 3)]
    late = event(FAILED, 9, attempt=2, error_code=ErrorCode.UNAVAILABLE)
    for shuffled in permutations([*events, late]):
        request = request_of(shuffled)
        assert request is not None
        assert (request.state, request.run_id, request.reason) == (DONE, "run-1", None)


def test_a_failure_says_why() -> None:
    request = request_of([event(REQUESTED), event(FAILED, 1, error_code=ErrorCode.TENANT_EXISTS)])
    assert request is not None
    assert (request.reason, request.error_code) == ("it broke", ErrorCode.TENANT_EXISTS)


def test_the_parameters_asked_for_last_count() -> None:
    corrected = NewTenant(TenantId("acme"), plan=Plan.SCALE)
    request = request_of([event(REQUESTED, 5, attempt=2, asked=corrected), event(REQUESTED)])
    assert request is not None
    assert request.parameters == corrected


def test_requests_are_listed_in_the_order_in_which_they_were_asked_for() -> None:
    events = [event(REQUESTED, 5, SECOND), event(REQUESTED, 1, FIRST), event(RUNNING, 9, FIRST)]
    assert [request.request_id for request in requests_of(events)] == [FIRST, SECOND]


def test_events_are_listed_by_attempt_and_state() -> None:
    events = [event(RUNNING, 0, attempt=2), event(FAILED, 1), event(RUNNING, 2), event(REQUESTED, 3)]
    assert [(each.attempt, each.state) for each in in_order(events)] == [
        (1, REQUESTED),
        (1, RUNNING),
        (1, FAILED),
        (2, RUNNING),
    ]


@pytest.mark.parametrize(
    ("states", "expected"), [((REQUESTED,), 1), ((REQUESTED, RUNNING), 2), ((REQUESTED, RUNNING, FAILED), 2)]
)
def test_a_run_works_on_the_attempt_that_asked_for_it_and_else_begins_one(
    states: tuple[RequestState, ...], expected: int
) -> None:
    request = request_of([event(state, place) for place, state in enumerate(states)])
    assert next_attempt(request) == expected


def test_what_is_asked_otherwise_is_an_attempt_of_its_own() -> None:
    assert next_attempt(request_of([event(REQUESTED)]), asks_otherwise=True) == 2
    assert next_attempt(None, asks_otherwise=True) == 1


@pytest.mark.parametrize(
    ("state", "code", "expected"),
    [
        (REQUESTED, None, FIRST),
        (RUNNING, None, FIRST),
        (FAILED, ErrorCode.UNAVAILABLE, FIRST),
        (FAILED, ErrorCode.TENANT_EXISTS, None),
        (DONE, None, None),
    ],
)
def test_only_what_is_open_or_failed_can_be_resumed_and_no_loser_of_a_race(
    state: RequestState, code: ErrorCode | None, expected: str | None
) -> None:
    found = resumable(requests_of([event(REQUESTED), event(state, 1, error_code=code)]))
    assert (found.request_id if found else None) == expected


def test_the_winner_is_resumed_though_a_loser_asked_later() -> None:
    loser = [event(REQUESTED, 5, SECOND), event(FAILED, 6, SECOND, error_code=ErrorCode.TENANT_EXISTS)]
    found = resumable(
        requests_of([event(REQUESTED), event(FAILED, 1, error_code=ErrorCode.UNAVAILABLE), *loser])
    )
    assert found is not None
    assert found.request_id == FIRST


def test_a_suspension_is_not_what_asking_for_a_tenant_again_continues() -> None:
    assert resumable(requests_of([event(REQUESTED, asked=Suspension(ACME.tenant_id))])) is None
