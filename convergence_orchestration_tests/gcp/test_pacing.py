import pytest

from convergence_orchestration.gcp.pacing import Pace


class Clock:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize("per_second", [1, 4, 10, 2.5])
def test_in_no_second_are_there_more_calls_than_the_pace_allows(per_second: float) -> None:
    clock = Clock()
    pace = Pace(per_second, lambda: clock.now, clock.sleep)
    calls: list[float] = []
    for _ in range(50):
        pace.wait()
        calls.append(clock.now)
    assert all(sum(begin <= call < begin + 1 for call in calls) <= per_second for begin in calls)
    assert calls[-1] - calls[0] <= 50 / int(per_second), "and no slower than that"


def test_a_few_calls_at_once_need_not_wait() -> None:
    clock = Clock()
    pace = Pace(4, lambda: clock.now, clock.sleep)
    for _ in range(4):
        pace.wait()
    assert clock.slept == []
    pace.wait()
    assert clock.slept == [1.0]


def test_a_pace_below_one_is_a_call_in_some_seconds() -> None:
    clock = Clock()
    pace = Pace(0.5, lambda: clock.now, clock.sleep)
    for _ in range(3):
        pace.wait()
    assert clock.slept == [2.0, 2.0]


def test_threads_that_come_at_once_get_turns_of_their_own() -> None:
    turns: list[float] = []
    pace = Pace(2, lambda: 0.0, turns.append)
    for _ in range(6):
        pace.wait()
    assert turns == [1.0, 1.0, 2.0, 2.0]
