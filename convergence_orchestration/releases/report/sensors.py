"""The sensor that has a release's report written once more: `release_report_sensor`.

What belongs here: reading the events of each environment, and yielding the run. When it is due is again.py.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.gcp.resources import BigQueryConnection
from convergence_orchestration.releases.report.again import late_report
from convergence_orchestration.releases.report.assets import REPORT_JOB, report_config
from convergence_orchestration.releases.resources import Releases
from convergence_orchestration.settings import Environment

SENSOR = "release_report_sensor"
SECONDS_BETWEEN_TICKS = 300
"""BigQuery bills 10 MB for each look at each environment."""


def report_sensors() -> list[dg.SensorDefinition]:
    """What `definitions.py` merges."""
    return [release_report_sensor]


@dg.sensor(
    name=SENSOR,
    job_name=REPORT_JOB,
    minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Has the report of a release written once more some minutes behind its end, with the requests that were counted "
    "late: those that hung.",
)
def release_report_sensor(
    _context: dg.SensorEvaluationContext, bigquery: BigQueryConnection, releases: Releases
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One look at every environment."""
    said = []
    for environment in Environment:
        try:
            request = _request(environment, bigquery, releases)
        except ConvergenceError as error:  # not bootstrapped yet, most of the time
            said.append(f"{environment}: {error.message}")
            continue
        if request is not None:
            yield request
    yield dg.SkipReason(" ".join(said) or "No report is due again.")


def _request(
    environment: Environment, bigquery: BigQueryConnection, releases: Releases
) -> dg.RunRequest | None:
    from convergence_orchestration.releases.store import ReleaseEvents  # noqa: PLC0415 Google's clients are dear

    settings, service = releases.settings(environment), releases.specification(environment).service
    events = ReleaseEvents(bigquery.bigquery()).of_service(environment.value, service)
    late = late_report(events, datetime.now(UTC) - settings.meter_late)
    if late is None:
        return None
    config = report_config(environment.value, late.release_id)
    return dg.RunRequest(run_key=f"{late.last}/report", run_config=config)
