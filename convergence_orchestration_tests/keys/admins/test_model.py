from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.secret_versions import Version, VersionState
from convergence_orchestration.keys.admins.model import (
    KEPT_DISABLED,
    AgeState,
    Counting,
    Retirement,
    Rotation,
    counting,
    environment_of,
    judge_age,
    name_in,
    retirement,
    rotation_of,
    rotations_in,
    secret_id_of,
    with_rotation,
)
from convergence_orchestration.settings import Environment

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ENABLED, DISABLED, DESTROYED = VersionState.ENABLED, VersionState.DISABLED, VersionState.DESTROYED


def version(number: int, state: VersionState = ENABLED, age: timedelta = HOUR) -> Version:
    return Version(number, state, NOW - age)


def test_the_secrets_of_administrators_are_named_after_environment_and_name() -> None:
    assert secret_id_of(Environment.STAGING) == "admin-api-key-staging"
    assert secret_id_of(Environment.PRODUCTION, "ann-b2") == "admin-api-key-prod--ann-b2"
    assert name_in("admin-api-key-prod--ann-b2") == "ann-b2"
    assert name_in("admin-api-key-prod") == "administrator"


@pytest.mark.parametrize(
    ("secret_id", "environment"),
    [
        ("admin-api-key-dev", Environment.DEVELOPMENT),
        ("admin-api-key-prod--ann", Environment.PRODUCTION),
        ("admin-api-key-other", None),
        ("database-password", None),
    ],
)
def test_a_secret_tells_its_environment(secret_id: str, environment: Environment | None) -> None:
    assert environment_of(secret_id) is environment


@pytest.mark.parametrize("name", ["", "a", "Ann", "1ann", "ann b", "ann--b", "a" * 32, "anybody", "ann\n"])
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    with pytest.raises(PermanentError, match="Choose a name") as refused:
        secret_id_of(Environment.DEVELOPMENT, name)
    assert refused.value.code is ErrorCode.INVALID_ARGUMENT


def test_the_newest_enabled_version_counts_and_the_enabled_one_before_it_until_the_overlap_ends() -> None:
    versions = [version(1), version(2), version(3, DISABLED), version(4)]

    count = counting(versions, (), DAY)

    assert count == Counting(versions[3], versions[1], NOW - HOUR + DAY)


def test_a_disabled_newest_version_leaves_the_one_before_it_as_the_key() -> None:
    versions = [version(1), version(2, DISABLED), version(3, DESTROYED)]

    assert counting(versions, (), DAY).current == versions[0]
    assert counting(versions, (), DAY).previous is None


def test_without_an_overlap_the_one_before_does_not_count_whatever_the_clocks_say() -> None:
    versions = [version(1), version(2, age=-HOUR)]
    count = counting(versions, [rotation_of("leak", 1, timedelta(), NOW)], DAY)

    assert count.previous is None
    assert retirement(versions, count, NOW) == Retirement(disable=(1,))


def test_without_an_enabled_version_nothing_counts() -> None:
    assert counting([version(1, DISABLED)], (), DAY) == Counting()
    assert counting([], (), DAY) == Counting()


def test_the_overlap_is_that_of_the_rotation_which_made_the_version() -> None:
    rotations = [rotation_of("other", 1, 9 * DAY, NOW), rotation_of("run", 2, 2 * HOUR, NOW)]

    assert counting([version(2), version(3)], rotations, DAY).overlap_ends == NOW + HOUR


def test_after_the_overlap_older_versions_are_disabled_and_a_week_later_destroyed() -> None:
    versions = [version(1, DISABLED), version(2), version(3), version(4)]
    count = counting(versions, (), DAY)
    ends = count.overlap_ends or NOW

    assert retirement(versions, count, ends - HOUR) == Retirement(disable=(2,))
    assert retirement(versions, count, ends) == Retirement(disable=(2, 3))
    assert retirement(versions, count, ends + KEPT_DISABLED) == Retirement((2, 3), (1,))


def test_nothing_newer_than_the_key_is_retired_nor_anything_without_a_key() -> None:
    versions = [version(1), version(2, DISABLED)]
    count = counting(versions, (), timedelta())

    assert retirement(versions, count, NOW + 365 * DAY) == Retirement()
    assert retirement([version(1, DISABLED)], Counting(), NOW + 365 * DAY) == Retirement()


@pytest.mark.parametrize(
    ("age", "state"),
    [
        (timedelta(), AgeState.FRESH),
        (76 * DAY - HOUR, AgeState.FRESH),
        (76 * DAY, AgeState.DUE_SOON),
        (90 * DAY - HOUR, AgeState.DUE_SOON),
        (90 * DAY, AgeState.DUE),
        (91 * DAY - HOUR, AgeState.DUE),
        (91 * DAY, AgeState.OVERDUE),
        (900 * DAY, AgeState.OVERDUE),
    ],
)
def test_a_key_is_announced_14_days_ahead_due_at_90_and_overdue_a_day_later(
    age: timedelta, state: AgeState
) -> None:
    verdict = judge_age([version(1, DISABLED), version(7, age=age)], NOW, 90 * DAY)

    assert (verdict.state, verdict.number) == (state, 7)
    assert verdict.due_at == NOW - age + 90 * DAY


def test_a_secret_without_an_enabled_version_is_missing_and_not_due() -> None:
    assert judge_age([version(1, DESTROYED)], NOW, DAY).state is AgeState.MISSING
    assert judge_age([], NOW, DAY).due_at is None


def test_the_last_rotations_are_written_beside_the_secret() -> None:
    text = "[]"
    for number in range(7):
        text = with_rotation(rotations_in(text), rotation_of(f"run-{number}", number, HOUR, NOW))

    kept = rotations_in(text)

    assert [each.run for each in kept] == ["run-2", "run-3", "run-4", "run-5", "run-6"]
    assert kept[-1] == Rotation("run-6", 6, 1.0, NOW.isoformat())
    assert kept[-1].began == NOW


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "7",
        '[{"run": 1}]',
        "[1]",
        '[{"run": "r", "after": 1, "overlap_hours": 1, "at": "then"}]',
        '[{"run": "r", "after": 1, "overlap_hours": -1, "at": "2026-01-01T00:00:00+00:00"}]',
        '[{"run": "r", "after": 1, "overlap_hours": 1, "at": "2026-01-01T00:00:00"}]',
        '[{"run": "r", "after": 1, "overlap_hours": Infinity, "at": "2026-01-01T00:00:00Z"}]',
    ],
)
def test_an_annotation_that_somebody_has_spoilt_counts_as_nothing(text: str) -> None:
    assert rotations_in(text) == ()


@given(some.lists(some.tuples(some.sampled_from(VersionState), some.integers(0, 400)), max_size=8))
def test_whatever_the_versions_are_the_key_is_never_retired(states: list[tuple[VersionState, int]]) -> None:
    versions = [version(number, state, age * DAY) for number, (state, age) in enumerate(states, 1)]
    count = counting(versions, (), DAY)

    done = retirement(versions, count, NOW)

    key = count.current.number if count.current else 0
    assert all(number < key for number in (*done.disable, *done.destroy))
