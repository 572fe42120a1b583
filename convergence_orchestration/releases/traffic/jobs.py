"""The job that moves traffic as the rollout decides: `migrate_traffic`.

What belongs here: the op, its config, and what other jobs of releases share with it: a scene, and the mark by which the sensor
waits until it can read what a run has written. What is done is `migrating.py`, imported by the op that needs it.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from convergence_orchestration.errors import ConvergenceError, ErrorCode, TransientError
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.releases.model import ENDINGS
from convergence_orchestration.releases.report.assets import materialize_report
from convergence_orchestration.releases.resources import Releases
from convergence_orchestration.settings import Environment

if TYPE_CHECKING:
    from convergence_orchestration.releases.model import ReleaseEvent
    from convergence_orchestration.releases.traffic.scene import Scene

MIGRATE_JOB = "migrate_traffic"
MIGRATE_OP = "move_traffic"
DECISION_TAG = "convergence/decision"
ENVIRONMENT_TAG = "convergence/environment"
LAST_EVENT_TAG = "convergence/last_event"
MOVES_TAG = "convergence/moves_traffic"
"""On every run that decides about traffic: while one lives the sensor leaves the decision to it."""
MOVES = {MOVES_TAG: "yes"}
_SOON = timedelta(seconds=5)
"""Meters that count an answer so soon are waited for before the report of a release that ended is written."""


class MigrateConfig(dg.Config):
    """What the launchpad asks."""

    environment: str = Field(
        default="", description="development, staging or production; empty: that of this code location."
    )
    decision: str = Field(
        default="",
        description="Leave it empty: the sensor names here the event that it wants carried out. The run decides anew.",
    )
    probes: str = Field(
        default="",
        description="Leave it empty: the sensor says here what its probes of the tags gave, as JSON. The run probes once more.",
    )


@dg.op(
    name=MIGRATE_OP,
    description="Looks at the service, decides, writes the decision down and carries it out, until the traffic is verified.",
)
def move_traffic(
    context: dg.OpExecutionContext, config: MigrateConfig, bigquery: BigQueryConnection, releases: Releases
) -> None:
    """One decision of the rollout and what follows from it at once."""
    with reported_failures(), scene_of(context, releases, bigquery, config.environment) as scene:
        go_on(context, scene, probes=config.probes)


@dg.job(
    name=MIGRATE_JOB,
    tags=MOVES,
    description="Moves traffic as the rollout decides now: to the next stage, or back. `traffic_migration_sensor` launches it; "
    "launched by hand it does what is due, and nothing if nothing is.",
)
def migrate_traffic() -> None:
    """The one op, so that it can be launched by name."""
    move_traffic()


def traffic_jobs() -> list[dg.JobDefinition]:
    """What `definitions.py` merges."""
    return [migrate_traffic]


@contextmanager
def scene_of(
    context: dg.OpExecutionContext, releases: Releases, bigquery: BigQueryConnection, asked: str
) -> Iterator["Scene"]:
    """What a rollout of the environment that is asked for reads and acts upon."""
    environment: Environment = releases.environment(asked)
    with releases.scene(environment, bigquery) as scene:
        context.instance.add_run_tags(context.run_id, {ENVIRONMENT_TAG: environment.value})
        yield scene


def go_on(
    context: dg.OpExecutionContext,
    scene: "Scene",
    own: "Sequence[ReleaseEvent]" = (),
    probes: str = "",
    *,
    watches: bool = True,
) -> None:
    """Do what is due behind the events `own`, which this run has written already, and report it.

    With `watches`, a stage that is young is watched too; without, that is left to the sensor.
    """
    from convergence_orchestration.releases.traffic.migrating import WATCH, advance  # noqa: PLC0415 see the docstring
    from convergence_orchestration.releases.traffic.probing import from_json  # noqa: PLC0415 likewise

    tallies = from_json(json.loads(probes or "{}"))
    watch = WATCH if watches else timedelta()
    done = advance(scene, time.sleep, run_id=context.run_id, own=own, tallies=tallies, watch=watch)
    written = (*own, *done)
    if written:
        context.instance.add_run_tags(context.run_id, {LAST_EVENT_TAG: written[-1].event_id})
    for event in written:
        context.log.info("%s: %s", event.kind, event.reason)
    context.add_output_metadata(_facts(scene, written))
    if any(event.kind in ENDINGS for event in written):
        _report(context, scene, written[-1])


def _report(context: dg.OpExecutionContext, scene: "Scene", last: "ReleaseEvent") -> None:
    """The report of a release that ended; what keeps it from being written must not look as if the traffic had not moved."""
    counted = 2 * scene.meters.step + scene.meters.late
    if counted <= _SOON:  # else the report that is written once more some minutes later has the last answers
        time.sleep(counted.total_seconds())
    try:
        materialize_report(context, scene, last.release_id)
    except ConvergenceError as error:
        context.log.warning("The report was not written: %s Launch report_release.", error.message)


def _facts(scene: "Scene", written: "Sequence[ReleaseEvent]") -> dict[str, Any]:
    records = [
        dg.TableRecord(
            {
                "at": event.recorded_at.isoformat(timespec="milliseconds"),
                "event": event.kind.value,
                "revision": event.revision or "",
                "percent": "" if event.traffic_percent is None else str(event.traffic_percent),
                "verdict": event.verdict.value if event.verdict is not None else "",
                "why": event.reason,
            }
        )
        for event in written
    ]
    facts: dict[str, Any] = {"service": scene.service, "environment": scene.environment}
    if not records:
        return {**facts, "done": "Nothing was due."}
    return {**facts, "events": dg.MetadataValue.table(records), "release": written[-1].release_id}


def require_answer(context: dg.OpExecutionContext, scene: "Scene") -> None:
    """Make sure that the service answers at its own address after its traffic was moved.

    Raises:
        TransientError: UNAVAILABLE if it does not: the traffic is where it shall be, the service is ill all the same.
    """
    from convergence_orchestration.releases.traffic.probing import Answer, probe  # noqa: PLC0415 as above

    service = scene.run.find_service(scene.service)
    if service is None or not service.uri:
        return
    found = probe(scene.http, service.uri)
    context.log.info("The service's address %s: %s %s", service.uri, found.answer, found.why)
    if found.answer is not Answer.OK:
        raise TransientError(
            ErrorCode.UNAVAILABLE,
            f"Look at {service.uri} yourself: its traffic was moved, and a probe of it {found.why or 'failed'}.",
        )
