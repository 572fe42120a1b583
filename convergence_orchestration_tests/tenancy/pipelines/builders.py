"""Pipeline runs, events and usage for tests; every argument has a value that most tests do not care about."""

from datetime import UTC, date, datetime, timedelta

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import PlanLimits, TenantId
from convergence_orchestration.tenancy.pipelines.model import (
    Pipeline,
    PipelineAsked,
    PipelineRunEvent,
    PipelineRunId,
    PipelineState,
    parse_pipeline_asked,
)
from convergence_orchestration.tenancy.pipelines.quota import Usage, UsageDay
from convergence_orchestration.warehouse.catalogue import tenant_tables, to_bigquery
from convergence_orchestration.warehouse.model import tenant_dataset

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TODAY = NOON.date()
SMALL = PlanLimits(runs_per_day=5, concurrent_runs=3)
EVERYTHING = parse_pipeline_asked("data_quality", {})


def make_dataset(bigquery: BigQuery, tenant_id: TenantId) -> None:
    """A tenant's dataset with its tables."""
    dataset_id = tenant_dataset(tenant_id)
    bigquery.create_dataset(dataset_id, description="Of a test.", labels={})
    for spec in tenant_tables():
        bigquery.create_table(to_bigquery(spec, bigquery.project, dataset_id))


def seconds(number: float) -> datetime:
    return NOON + timedelta(seconds=number)


def run(number: int) -> PipelineRunId:
    return PipelineRunId("run_" + f"{number:026d}".translate(str.maketrans("0123456789", "abcdefghij")))


def asked(*tables: str) -> PipelineAsked:
    return parse_pipeline_asked("data_quality", {"tables": list(tables)})


def event(state: PipelineState, at: float = 0, number: int = 1, **fields: object) -> PipelineRunEvent:
    return PipelineRunEvent(run(number), Pipeline.DATA_QUALITY, state, seconds(at), **fields)  # type: ignore[arg-type]


def day(
    when: date = TODAY,
    admitted: tuple[PipelineRunId, ...] = (),
    live: tuple[PipelineRunId, ...] = (),
    changed_at: datetime = NOON,
) -> UsageDay:
    return UsageDay(when, len(admitted), 0, 0, admitted, live, changed_at)


def usage(*days: UsageDay) -> Usage:
    return Usage(TODAY, days)
