from datetime import UTC, datetime

import pytest

from convergence_orchestration.gcp.monitoring import ServiceMeters, Step
from convergence_orchestration.health.levels.budget import budget_left, burn_rate
from convergence_orchestration.health.levels.computing import (
    NOTHING_COUNTED,
    ODD_CLASS,
    Asked,
    Latencies,
    levels_of,
)
from convergence_orchestration.health.levels.shown import UNKNOWN, is_missed, row_of, verdict
from convergence_orchestration.health.model import Objectives, RequestRate, ServiceLevels, Window

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ASKED = Asked("staging", "api", Window.FIVE_MINUTES, NOON)
LENGTH = ASKED.window.length
PROMISED = Objectives()


def step(number: int, **requests: int) -> Step:
    """The window that is so many before the present one."""
    classes = {f"{name.removeprefix('of_')}": count for name, count in requests.items()}
    return Step(NOON - (number + 1) * LENGTH, NOON - number * LENGTH, classes, None)


def meters(earlier: int = 0, **steps: list[Step]) -> ServiceMeters:
    known = {name.replace("_", "-"): tuple(ones) for name, ones in steps.items()}
    reach = max((one.end for ones in known.values() for one in ones), default=None)
    return ServiceMeters(NOON - (earlier + 1) * LENGTH, LENGTH, reach, known)


def test_a_service_and_its_revisions_have_their_own_levels() -> None:
    counted = meters(api_1=[step(0, of_2xx=990, of_5xx=10)], api_2=[step(0, of_2xx=999, of_4xx=1)])
    latencies = Latencies({"": 150.0, "api-1": 180.0}, {"": 400.0, "api-1": 450.0})

    whole, first, second = levels_of(ASKED, counted, latencies)

    assert (whole.revision, whole.requests, whole.errors) == (None, 2000, 10)
    assert whole.error_rate == 0.005
    assert whole.availability == 0.995
    assert (whole.p95_ms, whole.p99_ms) == (150.0, 400.0)
    assert whole.requests_per_second == pytest.approx(2000 / 300)
    assert whole.burn_rate == pytest.approx(5.0)
    assert whole.budget_left == pytest.approx(-4.0)
    assert (whole.start, whole.end) == (NOON - LENGTH, NOON)
    assert (first.revision, first.errors, first.p95_ms) == ("api-1", 10, 180.0)
    assert (second.revision, second.errors, second.error_rate) == ("api-2", 0, 0.0)
    assert (second.p95_ms, second.p99_ms) == (None, None)


def test_meters_that_say_nothing_of_the_window_leave_everything_unknown() -> None:
    for counted in (meters(), meters(earlier=2, api_1=[step(1, of_2xx=100)])):
        (only,) = levels_of(ASKED, counted, Latencies())
        assert only == ServiceLevels(
            "staging",
            "api",
            None,
            Window.FIVE_MINUTES,
            NOON - LENGTH,
            NOON,
            why_unknown=NOTHING_COUNTED,
        )


def test_a_revision_that_answered_nothing_in_the_window_is_left_out_and_the_others_are_compared_with_it() -> (
    None
):
    before = [step(number, of_2xx=1000) for number in range(12, 0, -1)]
    counted = meters(12, api_1=before, api_2=[step(0, of_2xx=1000)])

    whole, second = levels_of(ASKED, counted, Latencies())

    assert whole.anomaly is RequestRate.USUAL
    assert (second.revision, second.anomaly) == ("api-2", None)


def test_requests_whose_answers_have_no_class_leave_the_errors_unknown() -> None:
    (whole, *_) = levels_of(ASKED, meters(api_1=[step(0, of_2xx=10, weird=1)]), Latencies())
    assert (whole.requests, whole.errors, whole.error_rate, whole.availability) == (11, None, None, None)
    assert (whole.budget_left, whole.burn_rate, whole.why_unknown) == (None, None, ODD_CLASS)


def test_counts_that_cannot_be_are_unknown() -> None:
    for odd in ({"of_2xx": -5}, {"of_2xx": -5, "of_5xx": 6}):
        (whole, *_) = levels_of(ASKED, meters(api_1=[step(0, **odd)]), Latencies())
        assert whole.requests is None
        assert "Cloud Monitoring" in whole.why_unknown


def test_a_budget_is_used_up_at_a_burn_rate_of_one() -> None:
    assert burn_rate(0.001, 0.999) == pytest.approx(1.0)
    assert budget_left(0.001, 0.999) == pytest.approx(0.0)
    assert budget_left(0.0, 0.999) == 1.0
    assert (burn_rate(None, 0.999), budget_left(None, 0.999)) == (None, None)


def levels(**known: float) -> ServiceLevels:
    return ServiceLevels("staging", "api", None, Window.HOUR, NOON, NOON, **known)  # type: ignore[arg-type]


GOOD = {"availability": 0.9995, "p95_ms": 199.0, "p99_ms": 500.0, "error_rate": 0.0005}


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (GOOD, "kept"),
        ({**GOOD, "p95_ms": 200.1}, "missed: p95"),
        ({**GOOD, "availability": 0.9, "error_rate": 0.1}, "missed: availability, errors"),
        ({name: value for name, value in GOOD.items() if name != "p99_ms"}, "unknown: p99"),
        ({"p99_ms": 501.0}, "missed: p99"),
        ({}, "unknown: availability, p95, p99, errors"),
    ],
)
def test_a_promise_that_is_not_known_to_be_kept_is_not_said_to_be(
    known: dict[str, float], words: str
) -> None:
    assert verdict(levels(**known), PROMISED) == words
    assert is_missed(levels(**known), PROMISED) is words.startswith("missed")


def test_unknown_is_shown_as_unknown() -> None:
    row = row_of(levels(), PROMISED)
    assert (row["revision"], row["window"]) == ("all", "1h")
    shown = {value for name, value in row.items() if name not in {"revision", "window", "verdict"}}
    assert shown == {UNKNOWN}
