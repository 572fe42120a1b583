from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.releases.model import Percent
from convergence_orchestration.releases.policy import (
    FreezeWindow,
    JudgeSettings,
    RolloutPolicy,
    ServiceTargets,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def stages(*percents: int) -> RolloutPolicy:
    return RolloutPolicy(stages=tuple(Percent(percent) for percent in percents))


def test_the_defaults_are_those_of_the_guide() -> None:
    policy = RolloutPolicy()
    assert policy.stages == (10, 50, 100)
    assert policy.bake == timedelta(minutes=10)
    assert (policy.targets.p95_ms, policy.targets.p99_ms) == (200, 500)
    assert policy.targets.allowed_errors == pytest.approx(0.001)


def test_one_stage_of_a_hundred_percent_is_enough() -> None:
    assert stages(100).next_stage(Percent(0)) == 100


def test_the_stage_behind_another_is_the_next_larger_one() -> None:
    assert [RolloutPolicy().next_stage(Percent(at)) for at in (0, 10, 30, 50, 100)] == [10, 50, 50, 100, None]


def test_the_stricter_of_errors_and_availability_counts() -> None:
    assert ServiceTargets(availability_percent=99.0).allowed_errors == pytest.approx(0.001)
    assert ServiceTargets(availability_percent=99.95).allowed_errors == pytest.approx(0.0005)
    assert ServiceTargets(availability_percent=100.0).allowed_errors == pytest.approx(0.001)


WRONG: list[tuple[str, Callable[[], object]]] = [
    ("stages", stages),
    ("stages", lambda: stages(0, 100)),
    ("stages", lambda: stages(10, 101)),
    ("stages", lambda: stages(50, 10, 100)),
    ("stages", lambda: stages(10, 10, 100)),
    ("stages", lambda: stages(10, 50)),
    ("bake", lambda: RolloutPolicy(bake=timedelta())),
    ("hold", lambda: RolloutPolicy(hold=timedelta(seconds=-1))),
    ("settle", lambda: RolloutPolicy(settle=timedelta())),
    ("rollback_window", lambda: RolloutPolicy(rollback_window=timedelta(seconds=-1))),
    ("asks", lambda: RolloutPolicy(asks=0)),
    ("availability_percent", lambda: ServiceTargets(availability_percent=100.1)),
    ("availability_percent", lambda: ServiceTargets(availability_percent=0)),
    ("error_percent", lambda: ServiceTargets(error_percent=0)),
    ("error_percent", lambda: ServiceTargets(error_percent=100)),
    ("p95_ms", lambda: ServiceTargets(p95_ms=0)),
    ("p99_ms", lambda: ServiceTargets(p95_ms=300, p99_ms=200)),
    ("bad_error_percent", lambda: RolloutPolicy(judge=JudgeSettings(bad_error_percent=0.1))),
    ("bad_error_percent", lambda: JudgeSettings(bad_error_percent=100)),
    ("alpha", lambda: JudgeSettings(alpha=0)),
    ("beta", lambda: JudgeSettings(beta=0.2)),
    ("minimum_requests", lambda: JudgeSettings(minimum_requests=0)),
    ("probe_failures", lambda: JudgeSettings(probe_failures=0)),
    ("worse_than_stable", lambda: JudgeSettings(worse_than_stable=0.5)),
    ("least_share", lambda: JudgeSettings(least_share=1)),
    ("freeze", lambda: FreezeWindow(NOON, NOON)),
]


@pytest.mark.parametrize(("name", "make"), WRONG)
def test_a_setting_out_of_range_is_refused_by_its_name(name: str, make: Callable[[], object]) -> None:
    with pytest.raises(PermanentError, match=f"Set the rollout's {name} to ") as raised:
        make()
    assert raised.value.code is ErrorCode.INVALID_SETTINGS
    assert raised.value.details == {"field": name}


def test_a_freeze_covers_its_start_and_not_its_end() -> None:
    window = FreezeWindow(NOON, NOON + timedelta(hours=1))
    assert window.covers(NOON)
    assert not window.covers(NOON + timedelta(hours=1))
