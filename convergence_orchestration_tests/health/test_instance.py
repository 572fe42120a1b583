from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo

from convergence_orchestration.health.instance.resources import next_time, orchestration_of
from convergence_orchestration.health.probes.orchestration import Heartbeat, Ticker

ERROR = SerializableErrorInfo("boom", [], None)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dg.op
def nothing() -> None:
    pass


@dg.job
def idle() -> None:
    nothing()


@dg.sensor(job=idle, minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def beat() -> None:
    pass


@dg.sensor(job=idle)
def switched_off() -> None:
    pass


nightly = dg.ScheduleDefinition(
    name="nightly", job=idle, cron_schedule="23 0 * * *", default_status=dg.DefaultScheduleStatus.RUNNING
)
REPOSITORY = dg.Definitions(
    jobs=[idle], sensors=[beat, switched_off], schedules=[nightly]
).get_repository_def()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as one:
        yield one


def state_of(
    name: str,
    kept: SensorInstigatorData | ScheduleInstigatorData,
    status: InstigatorStatus = InstigatorStatus.DECLARED_IN_CODE,
    location: str = "here",
) -> InstigatorState:
    where = RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin("127.0.0.1", 1, location), "__repository__")
    kind = InstigatorType.SENSOR if isinstance(kept, SensorInstigatorData) else InstigatorType.SCHEDULE
    return InstigatorState(RemoteInstigatorOrigin(where, name), kind, status, kept)


def ticked(
    instance: dg.DagsterInstance,
    state: InstigatorState,
    at: datetime,
    status: TickStatus = TickStatus.SKIPPED,
) -> None:
    tick = TickData(
        state.instigator_origin_id,
        state.instigator_name,
        state.instigator_type,
        status,
        at.timestamp(),
        selector_id=state.selector_id,
        error=ERROR if status is TickStatus.FAILURE else None,
    )
    instance.create_tick(tick)


def tickers(instance: dg.DagsterInstance) -> dict[str, Ticker]:
    return {one.name: one for one in orchestration_of(instance, REPOSITORY).tickers}


def test_what_never_ticked_is_known_to_be_switched_on_and_no_more(instance: dg.DagsterInstance) -> None:
    assert tickers(instance) == {
        "beat": Ticker("beat", "sensor", None),
        "nightly": Ticker("nightly", "schedule", None),
    }


def test_the_next_tick_is_due_an_interval_or_a_cron_time_behind_the_last_one(
    instance: dg.DagsterInstance,
) -> None:
    sensor = state_of("beat", SensorInstigatorData(min_interval=15))
    schedule = state_of("nightly", ScheduleInstigatorData("23 0 * * *", start_timestamp=NOON.timestamp()))
    instance.add_instigator_state(sensor)
    instance.add_instigator_state(schedule)
    ticked(instance, sensor, NOON - timedelta(minutes=1))
    ticked(instance, sensor, NOON, TickStatus.FAILURE)

    found = tickers(instance)

    assert found["beat"] == Ticker("beat", "sensor", NOON + timedelta(seconds=15), has_failed=True)
    assert found["beat"].target == "sensor:beat"
    assert found["nightly"].due_at == datetime(2026, 11, 24, 0, 23, tzinfo=UTC)


def test_a_schedule_that_ticked_in_time_is_due_at_its_next_time() -> None:
    at = datetime(2026, 11, 24, 0, 23, tzinfo=UTC)
    assert next_time(nightly, at) == at + timedelta(days=1)


def test_what_a_person_switched_off_or_on_counts(instance: dg.DagsterInstance) -> None:
    kept = SensorInstigatorData(min_interval=15)
    instance.add_instigator_state(state_of("beat", kept, InstigatorStatus.STOPPED))
    instance.add_instigator_state(state_of("switched_off", kept, InstigatorStatus.RUNNING))

    found = tickers(instance)
    assert {name: one.is_off for name, one in found.items()} == {
        "beat": True,
        "switched_off": False,
        "nightly": False,
    }


def test_after_a_move_of_the_code_location_the_one_that_ticks_counts(instance: dg.DagsterInstance) -> None:
    kept = SensorInstigatorData(min_interval=15)
    old, new = state_of("beat", kept, location="there"), state_of("beat", kept)
    for state, at in ((new, NOON), (old, NOON - timedelta(days=1))):
        instance.add_instigator_state(state)
        ticked(instance, state, at)

    assert tickers(instance)["beat"].due_at == NOON + timedelta(seconds=15)


def test_daemons_that_were_never_seen_are_among_them(instance: dg.DagsterInstance) -> None:
    instance.add_daemon_heartbeat(DaemonHeartbeat(NOON.timestamp(), "SENSOR", None, [ERROR]))
    instance.add_daemon_heartbeat(DaemonHeartbeat(NOON.timestamp(), "NO_LONGER_NEEDED", None, None))

    found = {one.daemon: one for one in orchestration_of(instance, REPOSITORY).heartbeats}

    assert found["SENSOR"] == Heartbeat("SENSOR", NOON, 1)
    assert found["SCHEDULER"] == Heartbeat("SCHEDULER", None)
    assert "NO_LONGER_NEEDED" not in found


def test_runs_that_wait_are_counted_from_the_oldest(instance: dg.DagsterInstance) -> None:
    assert orchestration_of(instance, REPOSITORY).queue.waiting == 0
    for status in (
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.SUCCESS,
    ):
        instance.add_run(dg.DagsterRun(job_name="idle", status=status))

    queue = orchestration_of(instance, REPOSITORY).queue
    assert queue.waiting == 2
    assert queue.oldest_at is not None
    assert abs(datetime.now(UTC) - queue.oldest_at) < timedelta(minutes=1)
