"""Levels of service as Dagster's catalogue shows them: the asset `slo_report`, one partition for each day.

What belongs here: the asset's words, the job that writes a day's report, and its schedule. What is in it is `report.py`.
"""

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.health.assets import HEALTH_GROUP, HEALTH_STATUS
from convergence_orchestration.releases.resources import Releases
from convergence_orchestration.settings import Environment

if TYPE_CHECKING:
    from convergence_orchestration.health.levels.reading import LevelsReader
    from convergence_orchestration.health.levels.report import DayReport
    from convergence_orchestration.health.model import ProbeResult

SLO_REPORT = "slo_report"
SLO_JOB = "report_service_levels"

days = dg.DailyPartitionsDefinition(start_date="2026-11-01", timezone="UTC", end_offset=1)
"""Today is one of them: its report is what is known so far."""


class DayConfig(dg.Config):
    """What the launchpad asks."""

    day: str = Field(default="", description="Which day, UTC, as 2026-11-23; empty: yesterday.")


@dg.op(description="Writes the report of one day for each environment that was asked anything.")
def write_service_levels(
    context: dg.OpExecutionContext, config: DayConfig, bigquery: BigQueryConnection, releases: Releases
) -> None:
    """One materialization for the day, with each environment's page."""
    with reported_failures():
        now = datetime.now(UTC)
        day = _day(config.day, now)
        pages = {
            environment.value: page
            for environment in Environment
            if (page := _page(releases, environment, bigquery, day, now))
        }
        nothing = {"nothing_known": "No service was measured or probed that day."}
        metadata = {name: dg.MetadataValue.md(page) for name, page in pages.items()} or nothing
        context.log_event(dg.AssetMaterialization(SLO_REPORT, partition=day.isoformat(), metadata=metadata))


@dg.job(
    name=SLO_JOB,
    executor_def=dg.in_process_executor,  # not the audited one: it reads and changes nothing
    description="Writes a day's report of service levels: availability, latency, errors, rate, error budget. A schedule runs "
    "it every night for the day before.",
)
def report_service_levels() -> None:
    """The one op, so that it can be launched by name."""
    write_service_levels()


daily_service_levels = dg.ScheduleDefinition(
    name="daily_service_levels",
    job=report_service_levels,
    cron_schedule="23 0 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Once a day, when the meters of the day before are complete.",
)


def levels_assets() -> list[dg.AssetSpec]:
    """What `definitions.py` merges."""
    return [
        dg.AssetSpec(
            SLO_REPORT,
            deps=[dg.AssetDep(HEALTH_STATUS)],
            group_name=HEALTH_GROUP,
            kinds={"python"},
            partitions_def=days,
            description="A day's levels of service beside what is promised: availability 99.9 %, P95 200 ms, P99 500 ms, errors "
            "0.1 %; the error budget of thirty days; each environment and each revision, from Cloud Monitoring.",
        )
    ]


def levels_jobs() -> list[dg.JobDefinition]:
    """What `definitions.py` merges."""
    return [report_service_levels]


def levels_schedules() -> list[dg.ScheduleDefinition]:
    """What `definitions.py` merges."""
    return [daily_service_levels]


def _day(asked: str, now: datetime) -> date:
    """The day that is asked for.

    Raises:
        PermanentError: INVALID_ARGUMENT for what is no day, or one to come.
    """
    try:
        day = date.fromisoformat(asked) if asked else now.date() - timedelta(days=1)
    except ValueError:
        day = None
    if day is None or day > now.date():
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT, "Name a day that has begun, as 2026-11-23.", {"field": "day"}
        )
    return day


def _page(
    releases: Releases, environment: Environment, bigquery: BigQueryConnection, day: date, now: datetime
) -> str:
    """The environment's page; "" if nobody measured or probed anything there."""
    from convergence_orchestration.health.levels.opening import opened_levels  # noqa: PLC0415 see gcp/clients.py
    from convergence_orchestration.health.levels.report import markdown, report_on  # noqa: PLC0415 as above

    checks = _checks(bigquery, environment, day)
    service = releases.specification(environment).service
    with opened_levels(releases.settings(environment), service) as reader:
        report = report_on(reader, day, now, checks)
        return markdown(report, reader, _picture(report, reader)) if report.is_measured else ""


def _checks(bigquery: BigQueryConnection, environment: Environment, day: date) -> "list[ProbeResult]":
    """What the probes found that day; nothing if it cannot be read, and then their share is unknown."""
    from convergence_orchestration.health.store import HealthChecks  # noqa: PLC0415 as above

    since = datetime(day.year, day.month, day.day, tzinfo=UTC)
    try:
        found = HealthChecks(bigquery.bigquery()).history(since, environment.value)
    except ConvergenceError:
        return []
    return [one for one in found if one.at < since + timedelta(days=1)]


def _picture(report: "DayReport", reader: "LevelsReader") -> str | None:
    from convergence_orchestration.health.levels import pictures  # noqa: PLC0415 draws: dear to import
    from convergence_orchestration.releases.report.page import data_uri  # noqa: PLC0415 as above

    if report.over_time is None:
        return None
    drawn = pictures.day(report.over_time, reader.objectives)
    return None if drawn is None else data_uri(drawn)
