"""What Dagster said about itself, at one time.

What belongs here: types, and reading them from the answer, without I/O. Times are seconds since the epoch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convergence_orchestration.errors import ErrorCode, TransientError

RUNNING = "RUNNING"


@dataclass(frozen=True)
class Daemon:
    """One of the daemon's threads; `heartbeat` is None if it never had one."""

    name: str
    is_required: bool
    is_healthy: bool
    heartbeat: float | None


@dataclass(frozen=True)
class LiveRun:
    """A run that has not ended."""

    job: str
    status: str
    created: float


@dataclass(frozen=True)
class EndedRun:
    """A run that has; `seconds` is None if it never started."""

    run_id: str
    job: str
    status: str
    updated: float
    seconds: float | None


@dataclass(frozen=True)
class Instigator:
    """A sensor or a schedule with its last tick, None before the first; `interval` is in seconds, 0 for schedules."""

    kind: str
    name: str
    is_running: bool
    interval: float
    last_tick: float | None
    last_status: str | None


@dataclass(frozen=True)
class DagsterState:
    """All that one question tells."""

    daemons: tuple[Daemon, ...]
    live: tuple[LiveRun, ...]
    ended: tuple[EndedRun, ...]
    instigators: tuple[Instigator, ...]


def state_of(answer: Mapping[str, Any]) -> DagsterState:
    """What the answer says.

    Raises:
        TransientError: DAGSTER_UNAVAILABLE, it is not of the form that is expected.
    """
    try:
        return DagsterState(
            daemons=tuple(map(_daemon, answer["instance"]["daemonHealth"]["allDaemonStatuses"])),
            live=tuple(map(_live, _results(answer["live"]))),
            ended=tuple(map(_ended, _results(answer["ended"]))),
            instigators=(
                *(_instigator("sensor", each) for each in _results(answer["sensorsOrError"])),
                *(_instigator("schedule", each) for each in _results(answer["schedulesOrError"])),
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise TransientError(
            ErrorCode.DAGSTER_UNAVAILABLE,
            f"Look after Dagster's web server: its answer is not understood ({type(error).__name__}: {error}).",
        ) from None


def _results(found: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    results: Sequence[Mapping[str, Any]] = found["results"]
    return results


def _daemon(found: Mapping[str, Any]) -> Daemon:
    heartbeat = found["lastHeartbeatTime"]
    return Daemon(
        found["daemonType"],
        bool(found["required"]),
        bool(found["healthy"]),
        None if heartbeat is None else float(heartbeat),
    )


def _live(found: Mapping[str, Any]) -> LiveRun:
    return LiveRun(found["jobName"], found["status"], float(found["creationTime"]))


def _ended(found: Mapping[str, Any]) -> EndedRun:
    started, ended = found["startTime"], found["endTime"]
    seconds = None if started is None or ended is None else max(0.0, float(ended) - float(started))
    return EndedRun(found["runId"], found["jobName"], found["status"], float(found["updateTime"]), seconds)


def _instigator(kind: str, found: Mapping[str, Any]) -> Instigator:
    state = found[f"{kind}State"]
    tick = next(iter(state["ticks"]), None)
    return Instigator(
        kind=kind,
        name=found["name"],
        is_running=state["status"] == RUNNING,
        interval=float(found.get("minIntervalSeconds") or 0),
        last_tick=float(tick["timestamp"]) if tick else None,
        last_status=tick["status"] if tick else None,
    )
