"""The sensor that evaluates alerts every minute: `alert_sensor`.

What belongs here: one tick, and what is told when alerts themselves cannot be read. It is a sensor and not a job on a schedule
because an evaluation changes nothing but the table of alerts: a run for it, every minute, costs ten times as much. What is done is
`watching.py`, imported late: Google's clients are dear to import, and this module is loaded by everybody.
"""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from convergence_orchestration.environment.resources import Environments
from convergence_orchestration.errors import ConvergenceError, ErrorCode
from convergence_orchestration.gcp.resources import BigQueryConnection
from convergence_orchestration.health.alerting.blindness import (
    SEEING,
    Blindness,
    after_failure,
    from_json,
    is_due,
)
from convergence_orchestration.health.alerting.deadline import within
from convergence_orchestration.health.alerting.jobs import EVALUATE_JOB
from convergence_orchestration.health.alerting.model import Phase
from convergence_orchestration.health.alerting.resources import Alerts, failed_runs
from convergence_orchestration.releases.resources import Releases

if TYPE_CHECKING:
    from convergence_orchestration.health.alerting.watching import KnownChannels, Watched

SENSOR = "alert_sensor"
SECONDS_BETWEEN_EVALUATIONS = 60
EVALUATION_SECONDS = 40.0
"""Dagster gives a tick 60 s; what is left is for telling that it took too long."""


@dg.sensor(
    name=SENSOR,
    job_name=EVALUATE_JOB,
    minimum_interval_seconds=SECONDS_BETWEEN_EVALUATIONS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Evaluates the rules of alerts every minute, records what is new in `tenants.alerts` and tells the channels, without "
    "a run. The job `evaluate_alerts` does the same at will.",
)
def alert_sensor(
    context: dg.SensorEvaluationContext,
    alerts: Alerts,
    environments: Environments,
    releases: Releases,
    bigquery: BigQueryConnection,
) -> dg.SensorResult:
    """One evaluation."""
    from convergence_orchestration.health.alerting.watching import tell_sight, watch_once  # noqa: PLC0415 see the docstring

    def evaluated() -> "Watched":
        failed = failed_runs(context.instance, datetime.now(UTC))
        with alerts.watch(settings, channels, releases, bigquery, failed) as watch:
            return watch_once(watch)

    blind = from_json(json.loads(context.cursor or "null"))
    settings = alerts.settings(environments, releases)
    with alerts.channels(settings) as channels:
        try:
            done = within(EVALUATION_SECONDS, evaluated)
        except ConvergenceError as error:
            return _result(*_unseen(blind, channels, alerts.own, error))
        if blind.told_at is not None and blind.since is not None:
            tell_sight(channels, alerts.own, blind.since)
    return _result(_words(done), SEEING)


def alert_sensors() -> list[dg.SensorDefinition]:
    """What `definitions.py` merges."""
    return [alert_sensor]


def _unseen(
    blind: Blindness, channels: "KnownChannels", environment: str, error: ConvergenceError
) -> tuple[str, Blindness]:
    """What is said and kept when an evaluation failed; before the bootstrap there is nothing to be told."""
    from convergence_orchestration.health.alerting.watching import tell_blindness  # noqa: PLC0415 see the docstring

    if error.code is ErrorCode.NOT_BOOTSTRAPPED:
        return error.message, SEEING
    now = datetime.now(UTC)
    blind = after_failure(blind, now)
    if is_due(blind, now) and tell_blindness(channels, environment, blind.since or now, error):
        blind = blind.told(now)
    return f"Alerts could not be evaluated: {error.message}", blind


def _words(done: "Watched") -> str:
    is_open = sum(alert.phase is not Phase.PENDING for alert in done.standing.alerts.values())
    failed = sum(bool(one.why) for one in done.sent)
    words = f"{is_open} alerts are open, {len(done.news)} events are new, {len(done.sent) - failed} messages were sent."
    return f"{words} {failed} were not taken." if failed else words


def _result(words: str, blind: Blindness) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=words, cursor=json.dumps(blind.to_json()))
