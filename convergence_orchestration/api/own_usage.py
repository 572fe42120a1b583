"""A tenant's usage and tables as its answers show them.

What belongs here: building these answers. What is counted is `tenancy/pipelines/usage.py`.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from google.cloud.bigquery import Table

from convergence_orchestration.api.own_bodies import (
    DayUsed,
    OwnColumn,
    OwnTable,
    Quota,
    RunsAtOnce,
    RunsToday,
)
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import PlanLimits
from convergence_orchestration.tenancy.pipelines.quota import Usage, resets_at
from convergence_orchestration.warehouse.model import MAX_CONCURRENT_CALLS


def quota_of(usage: Usage, limits: PlanLimits, now: datetime) -> Quota:
    """What the plan allows and what of it is used; nothing is left if a smaller plan was chosen since."""
    return Quota(
        runs_today=RunsToday(
            used=usage.runs_today,
            limit=limits.runs_per_day,
            left=max(0, limits.runs_per_day - usage.runs_today),
            resets_at=resets_at(now),
        ),
        runs_at_once=RunsAtOnce(
            live=len(usage.live), limit=limits.concurrent_runs, live_runs=list(usage.live)
        ),
    )


def days_of(usage: Usage) -> list[DayUsed]:
    """The days, the newest first."""
    return [
        DayUsed(
            day=day.day,
            pipeline_runs=day.pipeline_runs,
            failed_runs=day.failed_runs,
            rows_written=day.rows_written,
        )
        for day in usage.days
    ]


def tables_of(bigquery: BigQuery, dataset_id: str) -> list[OwnTable]:
    """The dataset's tables as they are now, by name. Blocks; errors are those of `gcp.bigquery`."""

    def look(name: str) -> OwnTable | None:
        table = bigquery.get_table(dataset_id, name)
        return None if table is None else _shown(table, bigquery.count_rows(dataset_id, name))

    with ThreadPoolExecutor(MAX_CONCURRENT_CALLS) as threads:
        found = threads.map(look, bigquery.list_tables(dataset_id))
        return [table for table in found if table is not None]


def _shown(table: Table, rows: int) -> OwnTable:
    return OwnTable(
        name=table.table_id,
        description=table.description or "",
        rows=rows,
        columns=[
            OwnColumn(
                name=field.name,
                type=field.field_type,
                mode=field.mode,
                description=field.description or "",
            )
            for field in table.schema
        ],
    )
