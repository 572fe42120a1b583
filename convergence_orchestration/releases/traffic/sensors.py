"""The sensor that drives rollouts: `traffic_migration_sensor`.

What belongs here: which runs there are, ticking each environment, and yielding the runs that were found due. The tick itself is
`watching.py`, imported late: Google's clients are dear to import, and this module is loaded by everybody.
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from convergence_orchestration.errors import ConvergenceError, PermanentError
from convergence_orchestration.gcp.resources import BigQueryConnection
from convergence_orchestration.releases.resources import Releases
from convergence_orchestration.releases.traffic.attempts import PastRun, is_at_work, next_attempt
from convergence_orchestration.releases.traffic.jobs import (
    DECISION_TAG,
    ENVIRONMENT_TAG,
    LAST_EVENT_TAG,
    MIGRATE_JOB,
    MIGRATE_OP,
    MOVES,
)
from convergence_orchestration.settings import Environment

if TYPE_CHECKING:
    from convergence_orchestration.releases.traffic.watching import Memory, Ticked

SENSOR = "traffic_migration_sensor"
SECONDS_BETWEEN_TICKS = 1
"""Dagster ticks every 5 s at best; asked for 5, it was measured to leave out every second tick."""
_LOOK_SECONDS = 0.5
_REMEMBERED = timedelta(minutes=10)
_IN_PROGRESS = frozenset(
    {
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    }
)
_UNBEGUN = frozenset({dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED})


def release_sensors() -> list[dg.SensorDefinition]:
    """The sensors of this domain."""
    return [traffic_migration_sensor]


@dg.sensor(
    name=SENSOR,
    job_name=MIGRATE_JOB,
    minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Watches every release that is under way: probes its tag, reads its meters, and launches `migrate_traffic` when "
    "traffic is to be moved, forward or back. A tick watches for four seconds, and ends at once when a run is due.",
)
def traffic_migration_sensor(
    context: dg.SensorEvaluationContext, bigquery: BigQueryConnection, releases: Releases
) -> dg.SensorResult:
    """One tick of every environment, the one of this code location first."""
    kept: dict[str, Any] = _cursor(context.cursor)
    requests: list[dg.RunRequest] = []
    said: list[str] = []
    awake = [one for one in Environment if not _memory(context, one).is_idle(datetime.now(UTC))]
    for environment in sorted(Environment, key=lambda one: one.value != releases.own):
        try:
            ticked = _tick(context, environment, releases, bigquery, len(awake))
        except ConvergenceError as error:
            said.append(f"{environment}: {error.message}")
            if isinstance(error, PermanentError):  # not bootstrapped yet, most of the time
                kept[environment] = {"idle_until": (datetime.now(UTC) + timedelta(seconds=15)).isoformat()}
            continue
        if ticked is None:
            continue
        kept[environment] = ticked.memory.to_json()
        said.append(f"{environment}: {ticked.words}")
        requests.extend(_requests(context, environment, ticked))
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else " ".join(said) or "No release is under way.",
        cursor=json.dumps(kept),
    )


def _tick(
    context: dg.SensorEvaluationContext,
    environment: Environment,
    releases: Releases,
    bigquery: BigQueryConnection,
    awake: int,
) -> "Ticked | None":
    """One environment's tick, one of so many; None when nobody has to look now, or a run looks."""
    from convergence_orchestration.releases.traffic.watching import TICK_SECONDS, tick  # noqa: PLC0415 as above

    memory = _memory(context, environment)
    if memory.is_idle(datetime.now(UTC)):
        return None
    seconds = TICK_SECONDS / max(awake, 1)
    until = time.monotonic() + seconds
    runs = _runs(context.instance, environment)
    while is_at_work([past for past, _ in runs], datetime.now(UTC)):
        if time.monotonic() >= until:
            return None
        time.sleep(_LOOK_SECONDS)
        runs = _runs(context.instance, environment)
    written = next((run.tags[LAST_EVENT_TAG] for _, run in runs if LAST_EVENT_TAG in run.tags), "")
    with releases.scene(environment, bigquery) as scene:
        return tick(scene, memory, time.sleep, written, max(until - time.monotonic(), 0.0))


def _memory(context: dg.SensorEvaluationContext, environment: Environment) -> "Memory":
    from convergence_orchestration.releases.traffic.watching import memory_of  # noqa: PLC0415 as above

    return memory_of(context.cursor, environment)


def _requests(
    context: dg.SensorEvaluationContext, environment: Environment, ticked: "Ticked"
) -> Iterator[dg.RunRequest]:
    decision = ticked.decision
    if decision is None:
        return
    runs = [past for past, _ in _runs(context.instance, environment)]
    attempt = next_attempt(decision.event_id, runs, datetime.now(UTC))
    if attempt is None:
        return
    probes = json.dumps(ticked.memory.to_json()["probes"])
    config = {"environment": environment.value, "decision": decision.event_id, "probes": probes}
    yield dg.RunRequest(
        run_key=f"{decision.event_id}/{attempt}",
        run_config={"ops": {MIGRATE_OP: {"config": config}}},
        tags={DECISION_TAG: decision.event_id, ENVIRONMENT_TAG: environment.value},
    )


def _runs(instance: dg.DagsterInstance, environment: Environment) -> list[tuple[PastRun, dg.DagsterRun]]:
    """The runs of the last minutes that move this environment's traffic, the newest first."""
    recent = instance.get_run_records(
        dg.RunsFilter(tags=MOVES, created_after=datetime.now(UTC) - _REMEMBERED)
    )
    found = []
    for record in recent:
        run = record.dagster_run
        if run.tags.get(ENVIRONMENT_TAG, environment.value) != environment.value:
            continue
        past = PastRun(
            record.create_timestamp,
            run.status in _IN_PROGRESS,
            run.status not in _UNBEGUN,
            run.tags.get(DECISION_TAG, ""),
        )
        found.append((past, run))
    return found


def _cursor(text: str | None) -> dict[str, Any]:
    try:
        kept = json.loads(text or "{}")
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}
