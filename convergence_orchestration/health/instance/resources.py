"""Dagster's own side as plain facts: heartbeats, ticks, runs that wait.

What belongs here: reading Dagster's instance. What the facts mean is `probes/orchestration.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from convergence_orchestration.health.probes.orchestration import Heartbeat, Orchestration, Queue, Ticker

if TYPE_CHECKING:
    from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick

_WAITS = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
_SHORTEST_INTERVAL = 5
"""Seconds: no sensor ticks more often."""


def orchestration_of(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition) -> Orchestration:
    """What Dagster knows of itself now."""
    standings = _standings(instance)
    tickers = [*_sensors(standings, repository), *_schedules(standings, repository)]
    return Orchestration(tuple(_heartbeats(instance)), tuple(tickers), _queue(instance))


def _heartbeats(instance: dg.DagsterInstance) -> Iterator[Heartbeat]:
    """One for each daemon that this instance needs, also of one that was never started."""
    seen = instance.get_daemon_heartbeats()
    for daemon in instance.get_required_daemon_types():
        heartbeat = seen.get(daemon)
        if heartbeat is None:
            yield Heartbeat(daemon, None)
        else:
            yield Heartbeat(daemon, _moment(heartbeat.timestamp), len(heartbeat.errors or ()))


@dataclass(frozen=True)
class _Standing:
    """A sensor's or schedule's state in storage, and its last tick."""

    state: "InstigatorState"
    tick: "InstigatorTick | None"

    @property
    def has_failed(self) -> bool:
        return self.tick is not None and self.tick.status.value == "FAILURE"


def _sensors(standings: Mapping[str, "_Standing"], repository: dg.RepositoryDefinition) -> Iterator[Ticker]:
    for sensor in repository.sensor_defs:
        shall = sensor.default_status is dg.DefaultSensorStatus.RUNNING
        standing = standings.get(sensor.name)
        interval = timedelta(seconds=max(sensor.minimum_interval_seconds or 0, _SHORTEST_INTERVAL))
        since = _began(standing, "last_sensor_start_timestamp")
        due = None if since is None else since + interval
        yield from _ticker(sensor.name, "sensor", due, standing, shall=shall)


def _schedules(standings: Mapping[str, "_Standing"], repository: dg.RepositoryDefinition) -> Iterator[Ticker]:
    for schedule in repository.schedule_defs:
        shall = schedule.default_status is dg.DefaultScheduleStatus.RUNNING
        standing = standings.get(schedule.name)
        since = _began(standing, "start_timestamp")
        due = None if since is None else next_time(schedule, since)
        yield from _ticker(schedule.name, "schedule", due, standing, shall=shall)


def _ticker(
    name: str, kind: str, due: datetime | None, standing: "_Standing | None", *, shall: bool
) -> Iterator[Ticker]:
    """None of what is off and may be."""
    is_on = _is_on(standing, by_default=shall)
    if is_on or shall:
        has_failed = standing is not None and standing.has_failed
        yield Ticker(name, kind, due, has_failed=has_failed, is_off=not is_on)


def next_time(schedule: dg.ScheduleDefinition, since: datetime) -> datetime:
    """The first moment of a schedule behind `since`."""
    from dagster._utils.schedules import schedule_execution_time_iterator  # noqa: PLC0415 nothing public knows cron

    times = schedule_execution_time_iterator(
        since.timestamp() + 1, schedule.cron_schedule, schedule.execution_timezone
    )
    return next(times).astimezone(UTC)


def _standings(instance: dg.DagsterInstance) -> dict[str, "_Standing"]:
    """By name; of several that bear one, as after a move of the code location, the one that ticked last."""
    found: dict[str, _Standing] = {}
    for state in instance.all_instigator_state():
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        standing = _Standing(state, ticks[0] if ticks else None)
        other = found.get(state.instigator_name)
        if other is None or _last_tick(standing) > _last_tick(other):
            found[state.instigator_name] = standing
    return found


def _last_tick(standing: _Standing) -> float:
    return standing.tick.timestamp if standing.tick is not None else 0.0


def _is_on(standing: _Standing | None, *, by_default: bool) -> bool:
    if standing is None or standing.state.status.value == "DECLARED_IN_CODE":
        return by_default
    return bool(standing.state.is_running)


def _began(standing: _Standing | None, started: str) -> datetime | None:
    """When it ticked last, or was switched on if it never did."""
    if standing is None:
        return None
    if standing.tick is not None:
        return _moment(standing.tick.timestamp)
    at = getattr(standing.state.instigator_data, started, None)
    return None if at is None else _moment(at)


def _queue(instance: dg.DagsterInstance) -> Queue:
    waits = dg.RunsFilter(statuses=_WAITS)
    oldest = instance.get_run_records(waits, limit=1, ascending=True)
    if not oldest:
        return Queue(0, None)
    return Queue(instance.get_runs_count(waits), oldest[0].create_timestamp.astimezone(UTC))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
