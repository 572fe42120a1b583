from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from convergence_orchestration.health.rounds.resources import forget_rounds


@dg.op
def nothing() -> None:
    pass


@dg.job
def every_minute() -> None:
    nothing()


@dg.op
def fail() -> None:
    raise ValueError("a defect")


@dg.job(name="every_minute")
def failing() -> None:
    fail()


@dg.job
def other() -> None:
    nothing()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as one:
        yield one


def executed(instance: dg.DagsterInstance, job: dg.JobDefinition, times: int = 1) -> list[str]:
    return [job.execute_in_process(instance=instance, raise_on_error=False).run_id for _ in range(times)]


def left(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def test_old_rounds_are_forgotten_a_few_at_once_and_nothing_else(instance: dg.DagsterInstance) -> None:
    rounds = executed(instance, every_minute, 4)
    (failed,), (another,) = executed(instance, failing), executed(instance, other)
    now = datetime.now(UTC)

    assert forget_rounds(instance, "every_minute", now + timedelta(hours=1)) == 0
    assert forget_rounds(instance, "every_minute", now + timedelta(hours=3)) == 3
    assert left(instance) == {rounds[3], failed, another}
    assert forget_rounds(instance, "every_minute", now + timedelta(hours=25)) == 2
    assert left(instance) == {another}


def test_nothing_is_left_on_disk_of_a_round_that_was_forgotten(instance: dg.DagsterInstance) -> None:
    (run_id,) = executed(instance, every_minute)
    home = Path(instance.root_directory)
    assert list(home.rglob(f"{run_id}*"))

    forget_rounds(instance, "every_minute", datetime.now(UTC) + timedelta(hours=3))

    assert not list(home.rglob(f"{run_id}*"))
