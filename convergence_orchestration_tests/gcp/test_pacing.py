from convergence_orchestration.gcp.pacing import Pace


class Clock:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_calls_are_kept_apart_by_the_pace() -> None:
    clock = Clock()
    pace = Pace(4, lambda: clock.now, clock.sleep)
    for _ in range(3):
        pace.wait()
    assert clock.slept == [0.25, 0.25]


def test_a_pause_saves_up_no_burst() -> None:
    clock = Clock()
    pace = Pace(4, lambda: clock.now, clock.sleep)
    pace.wait()
    clock.now += 60
    pace.wait()
    assert clock.slept == []
    pace.wait()
    assert clock.slept == [0.25]


def test_threads_that_come_at_once_get_turns_of_their_own() -> None:
    turns: list[float] = []
    pace = Pace(2, lambda: 0.0, turns.append)
    for _ in range(4):
        pace.wait()
    assert turns == [0.5, 1.0, 1.5]
