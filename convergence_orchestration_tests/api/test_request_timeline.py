from convergence_orchestration.api.request_timeline import Timeline, seconds_between, timeline
from convergence_orchestration.tenancy.request_model import RequestState
from convergence_orchestration_tests.tenancy.builders import event, seconds

REQUESTED, RUNNING, DONE, FAILED = RequestState


def test_a_request_that_waits_has_waited_until_now() -> None:
    assert timeline([event(REQUESTED)], seconds(7)) == Timeline(waited=7, worked=0, total=7)


def test_a_request_that_runs_is_being_worked_on_until_now() -> None:
    events = [event(REQUESTED), event(RUNNING, 2)]

    assert timeline(events, seconds(7)) == Timeline(waited=2, worked=5, total=7)


def test_a_request_that_is_done_takes_no_longer() -> None:
    events = [event(REQUESTED), event(RUNNING, 2), event(DONE, 3.5)]

    assert timeline(events, seconds(100)) == Timeline(waited=2, worked=1.5, total=3.5)


def test_the_work_of_all_attempts_counts_and_the_pauses_between_them_do_not() -> None:
    events = [
        event(REQUESTED),
        event(RUNNING, 1),
        event(FAILED, 3),
        event(RUNNING, 33, attempt=2),
        event(DONE, 34, attempt=2),
    ]

    assert timeline(events, seconds(100)) == Timeline(waited=1, worked=3, total=34)


def test_a_request_that_failed_before_any_run_waited_until_then() -> None:
    assert timeline([event(REQUESTED), event(FAILED, 4)], seconds(9)) == Timeline(waited=4, worked=0, total=4)


def test_clocks_that_differ_make_nothing_take_less_than_no_time() -> None:
    events = [event(REQUESTED, 5), event(RUNNING, 3), event(DONE, 4)]

    assert timeline(events, seconds(9)) == Timeline(waited=0, worked=1, total=0)
    assert seconds_between(events) == [None, 0, 1]


def test_each_event_has_the_seconds_since_the_one_before() -> None:
    assert seconds_between([]) == []
    assert seconds_between([event(REQUESTED), event(RUNNING, 1.25)]) == [None, 1.25]
