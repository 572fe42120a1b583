"""The job `health_check`: one round of probes, kept and shown.

What belongs here: the op. What is looked at is `probes/places.py`, imported by the op that needs it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from convergence_orchestration.environment.resources import Environments
from convergence_orchestration.errors import ConvergenceError, ErrorCode
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.health.assets import SHOWN, materialize_health
from convergence_orchestration.health.instance.resources import orchestration_of
from convergence_orchestration.health.model import ProbeResult
from convergence_orchestration.health.resources import Health
from convergence_orchestration.health.rounds.resources import forget_rounds
from convergence_orchestration.health.store import HealthChecks
from convergence_orchestration.releases.resources import Releases

if TYPE_CHECKING:
    from convergence_orchestration.health.probes.places import Shared

HEALTH_JOB = "health_check"
QUOTA_MINUTES = 10
"""A quota of a day is asked for this often by the schedule: BigQuery bills 10 MB each time."""
_BY_SCHEDULE = "dagster/schedule_name"


@dg.op(description="Asks everything once, keeps what was found in `tenants.health_checks` and shows it.")
def look_around(
    context: dg.OpExecutionContext,
    bigquery: BigQueryConnection,
    environments: Environments,
    releases: Releases,
    health: Health,
) -> None:
    """One round; it fails only if what was found cannot be kept, after it was shown."""
    from convergence_orchestration.health.probes.places import look_around as look  # noqa: PLC0415 see the docstring

    connection, now = bigquery.bigquery(), datetime.now(UTC)
    checks = HealthChecks(connection)
    with reported_failures():
        with health.places(environments, releases) as places:
            shared = _shared(context, health, connection, now)
            results = look(places, shared, lambda: _lately(checks, now), lambda: datetime.now(UTC))
        failure = _kept(checks, results, context.run_id)
        history = _lately(checks, now) if failure is None else []
        materialize_health(
            context, results, history or results, now, failure.message if failure is not None else ""
        )
        _forget(context, now)
        if failure is not None:
            _report(context, failure)


@dg.job(
    name=HEALTH_JOB,
    executor_def=dg.in_process_executor,  # not the audited one: it changes nothing, every minute
    description="Looks at the API, at what it stands on and at Dagster itself, each within its deadline. A schedule runs it "
    "every minute; it may be launched at will.",
)
def health_check() -> None:
    """The one op, so that it can be launched by name."""
    look_around()


def health_jobs() -> list[dg.JobDefinition]:
    """What `definitions.py` merges."""
    return [health_check]


def _shared(context: dg.OpExecutionContext, health: Health, bigquery: BigQuery, now: datetime) -> "Shared":
    from convergence_orchestration.health.probes.places import Shared  # noqa: PLC0415 see the docstring

    is_asked = _BY_SCHEDULE not in context.run.tags or now.minute % QUOTA_MINUTES == 0
    return Shared(
        environment=health.own,
        bigquery=bigquery,
        most_bytes_a_day=health.query_quota if is_asked else None,
        dagster=orchestration_of(context.instance, context.repository_def),
    )


def _forget(context: dg.OpExecutionContext, now: datetime) -> None:
    try:
        forget_rounds(context.instance, HEALTH_JOB, now)
    except Exception as error:  # noqa: BLE001 the next round tidies up as well
        context.log.warning("Old rounds could not be deleted: %s.", type(error).__name__)


def _kept(checks: HealthChecks, results: Sequence[ProbeResult], run_id: str) -> ConvergenceError | None:
    """Why the results could not be kept; None if they were."""
    try:
        checks.append(results, run_id)
    except ConvergenceError as error:
        return error
    return None


def _lately(checks: HealthChecks, now: datetime) -> list[ProbeResult]:
    """What was found in the last hour; nothing if it cannot be read, for the picture is not worth a failed run."""
    try:
        return checks.history(now - SHOWN)
    except ConvergenceError:
        return []


def _report(context: dg.OpExecutionContext, failure: ConvergenceError) -> None:
    """Before the bootstrap there is nowhere to keep results, which is no failure; anything else is one."""
    if failure.code is not ErrorCode.NOT_BOOTSTRAPPED:
        raise failure
    context.log.warning("What was found is shown and not kept. %s", failure.message)
