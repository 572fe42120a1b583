from limits import RateLimitItemPerHour, RateLimitItemPerMinute

from convergence_orchestration.api.own_windows import OwnWindows

MINUTE, HOUR = RateLimitItemPerMinute(2, namespace="tests"), RateLimitItemPerHour(3, namespace="tests")


class Counting:
    """Windows whose clock stands where the test puts it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.windows = OwnWindows(lambda: self.now)

    def count(self, at: float, who: str = "acme") -> tuple[str, int, int, bool]:
        self.now = 1000 + at
        allowance = self.windows.count((MINUTE, HOUR), who)
        return allowance.window, allowance.remaining, allowance.reset, allowance.is_exceeded


def test_the_window_moves_with_the_clock() -> None:
    counting = Counting()
    assert counting.count(0) == ("minute", 1, 60, False)
    assert counting.count(30) == ("minute", 0, 30, False)
    assert counting.count(59) == ("minute", 0, 1, True)
    assert counting.count(61) == ("minute", 0, 29, False)


def test_a_refused_call_is_not_counted_and_the_hour_counts_as_well() -> None:
    counting = Counting()
    for at in (0, 1, 2, 3):
        counting.count(at)
    assert counting.count(70) == ("hour", 0, 3530, False)
    assert counting.count(140) == ("hour", 0, 3460, True)
    assert counting.count(3600.5) == ("hour", 0, 1, False)


def test_callers_are_counted_apart_and_forgotten_when_they_stay_away() -> None:
    counting = Counting()
    counting.count(0)
    assert counting.count(0, "globex") == ("minute", 1, 60, False)
    for _ in range(9_998):
        counting.count(4000, "globex")
    assert len(counting.windows) == 2
