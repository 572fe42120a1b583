import pytest

from convergence_orchestration.health.levels.anomaly import judged
from convergence_orchestration.health.model import RequestRate, Window

QUIET = [300, 310, 290, 305, 295, 300, 300, 310, 290, 305, 295, 300]
FIVE = Window.FIVE_MINUTES


@pytest.mark.parametrize(
    ("count", "rate"),
    [
        (300, RequestRate.USUAL),
        (400, RequestRate.USUAL),  # 33 % more is no matter
        (590, RequestRate.USUAL),  # certain, but not twice as many
        (610, RequestRate.SURGE),
        (160, RequestRate.USUAL),
        (110, RequestRate.DROP),
        (0, RequestRate.DROP),
    ],
)
def test_a_rate_is_unusual_when_it_is_far_from_the_median_and_twice_or_half_of_it(
    count: int, rate: RequestRate
) -> None:
    assert judged(count, QUIET, FIVE) is rate


def test_one_odd_window_before_moves_nothing() -> None:
    odd = [*QUIET[:-1], 9000]
    assert judged(300, odd, FIVE) is RequestRate.USUAL
    assert judged(700, odd, FIVE) is RequestRate.SURGE


def test_a_rate_that_always_swings_is_usual_when_it_swings() -> None:
    swinging = [100, 900, 200, 1000, 150, 800, 100, 950, 200, 900, 120, 870]
    assert judged(1100, swinging, FIVE) is RequestRate.USUAL


def test_with_few_windows_or_few_requests_nothing_is_said() -> None:
    assert judged(600, QUIET[:5], FIVE) is None
    assert judged(600, [0] * 7 + QUIET[:5], FIVE) is None
    assert judged(40, [3] * 12, FIVE) is None
    assert judged(600, [], Window.MONTH) is None


def test_a_first_rush_after_quiet_windows_is_a_surge() -> None:
    assert judged(1000, [3] * 12, FIVE) is RequestRate.SURGE
