from datetime import UTC, datetime, timedelta

import pytest

from convergence_orchestration.tenancy.pipelines.quota import (
    LAUNCH_PATIENCE,
    Fate,
    Verdict,
    day_used_up,
    fate,
    judge,
    places_taken,
    resets_at,
)
from convergence_orchestration_tests.tenancy.pipelines.builders import (
    NOON,
    SMALL,
    TODAY,
    day,
    run,
    seconds,
    usage,
)

YESTERDAY = TODAY - timedelta(days=1)
LONG = LAUNCH_PATIENCE + timedelta(seconds=1)


def runs(count: int, first: int = 100) -> tuple:  # type: ignore[type-arg]
    return tuple(run(first + number) for number in range(count))


def test_the_first_run_of_a_day_needs_the_days_row() -> None:
    assert judge(usage(), run(1), SMALL) is Verdict.NO_ROW
    assert judge(usage(day(YESTERDAY, runs(5))), run(1), SMALL) is Verdict.NO_ROW


def test_a_run_may_start_while_the_day_and_the_places_allow() -> None:
    assert judge(usage(day()), run(1), SMALL) is Verdict.FREE
    assert judge(usage(day(admitted=runs(4), live=runs(2))), run(1), SMALL) is Verdict.FREE


def test_what_was_counted_is_admitted_whatever_is_used_up_since() -> None:
    assert judge(usage(day(admitted=runs(5), live=runs(3))), run(100), SMALL) is Verdict.ADMITTED
    assert judge(usage(day(YESTERDAY, runs(1))), run(100), SMALL) is Verdict.ADMITTED


def test_the_days_runs_are_used_up_before_the_places_are_taken() -> None:
    assert judge(usage(day(admitted=runs(5), live=runs(3))), run(1), SMALL) is Verdict.DAY_USED_UP


def test_a_run_that_began_before_midnight_keeps_its_place() -> None:
    lived_on = day(YESTERDAY, runs(5), runs(3))
    assert judge(usage(day(), lived_on), run(1), SMALL) is Verdict.ALL_PLACES_TAKEN
    assert usage(day(), lived_on).runs_today == 0


@pytest.mark.parametrize(
    ("has_ended", "dagster_runs", "idle", "expected"),
    [
        (True, None, timedelta(), Fate.ENDED),
        (False, None, LONG, Fate.STAYS),
        (False, [], LAUNCH_PATIENCE, Fate.STAYS),
        (False, [], LONG, Fate.NEVER_BEGAN),
        (False, [True], timedelta(), Fate.LOST),
        (False, [True, False], LONG, Fate.STAYS),
    ],
)
def test_a_live_run_loses_its_place_only_when_it_has_surely_ended(
    has_ended: bool,  # noqa: FBT001 a row of the table
    dagster_runs: list[bool] | None,
    idle: timedelta,
    expected: Fate,
) -> None:
    assert fate(has_ended=has_ended, dagster_runs=dagster_runs, idle=idle) is expected


def test_a_live_run_is_idle_since_its_row_was_changed() -> None:
    counted = usage(
        day(admitted=runs(1), live=runs(1)), day(YESTERDAY, live=runs(1, 200), changed_at=seconds(-90))
    )
    assert counted.idle(run(100), seconds(5)) == timedelta(seconds=5)
    assert counted.idle(run(200), seconds(5)) == timedelta(seconds=95)
    assert counted.idle(run(7), seconds(5)) == timedelta()


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOON, datetime(2026, 11, 21, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, 59, 59, 999_999, UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_count_begins_anew_at_the_next_midnight(now: datetime, expected: datetime) -> None:
    assert resets_at(now) == expected


def test_a_refusal_says_when_to_come_back_and_why() -> None:
    of_the_day = day_used_up(SMALL, 5, NOON)
    assert of_the_day.retry_after == 12 * 3600
    assert of_the_day.details["resets_at"] == "2026-11-21T00:00:00+00:00"
    assert "2026-11-21 00:00 UTC" in of_the_day.message
    at_once = places_taken(SMALL, usage(day(live=runs(3))), NOON)
    assert 1 <= at_once.retry_after <= 10
    assert at_once.details["live_runs"] == list(runs(3))
