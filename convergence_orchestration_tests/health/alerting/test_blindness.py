import time
from datetime import timedelta

import pytest

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.health.alerting.blindness import (
    SEEING,
    Blindness,
    after_failure,
    from_json,
    is_due,
)
from convergence_orchestration.health.alerting.deadline import within
from convergence_orchestration_tests.health.alerting.builders import MINUTE, NOW


def test_blindness_is_told_after_two_failures_in_a_row_and_then_hourly() -> None:
    once = after_failure(SEEING, NOW)
    assert not is_due(once, NOW)
    twice = after_failure(once, NOW + MINUTE)
    assert is_due(twice, NOW + MINUTE)
    assert twice.since == NOW
    told = twice.told(NOW + MINUTE)
    assert not is_due(after_failure(told, NOW + 2 * MINUTE), NOW + 2 * MINUTE)
    assert is_due(told, NOW + timedelta(hours=1, minutes=1))


@pytest.mark.parametrize(
    "kept", [None, [], {}, {"failures": "x", "since": None, "told_at": None}, {"failures": 1}]
)
def test_what_cannot_be_read_is_no_blindness(kept: object) -> None:
    assert from_json(kept) == SEEING


def test_blindness_survives_being_kept() -> None:
    for blind in (SEEING, Blindness(3, NOW, NOW + MINUTE)):
        assert from_json(blind.to_json()) == blind


def test_what_is_done_in_time_is_given_and_what_it_raises_is_raised() -> None:
    def fail() -> None:
        raise TransientError(ErrorCode.UNAVAILABLE, "It is down.")

    assert within(5, lambda: 42) == 42
    with pytest.raises(TransientError, match="It is down"):
        within(5, fail)


def test_what_takes_too_long_is_left_alone() -> None:
    with pytest.raises(TransientError) as caught:
        within(0.05, lambda: time.sleep(1))
    assert caught.value.code is ErrorCode.DEADLINE_EXCEEDED
