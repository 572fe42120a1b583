"""The tenant's count of runs: `usage_daily` in its own dataset, one row a day.

What belongs here: the statements. This table is changed, not appended to, by the API too: a count that is right under
concurrency needs one place where two who ask at once meet. That place is the tenant's own, so no tenant waits for
another. Rows come and go by DML alone: BigQuery refuses to update rows that were streamed a moment ago.
"""

from datetime import date, datetime, timedelta
from pathlib import Path

from google.cloud.bigquery import Row, ScalarQueryParameter

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import PlanLimits, TenantId
from convergence_orchestration.tenancy.pipelines.model import PipelineRunId
from convergence_orchestration.tenancy.pipelines.quota import Usage, UsageDay
from convergence_orchestration.warehouse.model import tenant_dataset

WINDOW = timedelta(days=7)
"""How far back a live run, and a repeated Idempotency-Key of a run without a history, is looked for."""

_TABLE = "usage_daily"
_HERE = Path(__file__)
_OPEN = _HERE.with_name("usage_open.sql").read_text(encoding="utf-8")
_SINCE = _HERE.with_name("usage_since.sql").read_text(encoding="utf-8")
_COUNT = _HERE.with_name("usage_count.sql").read_text(encoding="utf-8")
_RELEASE = _HERE.with_name("usage_release.sql").read_text(encoding="utf-8")
_WITHDRAW = _HERE.with_name("usage_withdraw.sql").read_text(encoding="utf-8")


class UsageDays:
    """One tenant's count. Errors are those of `gcp.bigquery`; NOT_FOUND if the tenant has no such table."""

    def __init__(self, bigquery: BigQuery, tenant_id: TenantId) -> None:
        self._bigquery = bigquery
        self._tenant_id = tenant_id
        self._dataset_id = tenant_dataset(tenant_id)

    def recent(self, now: datetime, back: timedelta = WINDOW) -> Usage:
        """The days from `back` before the day of `now` on."""
        today = now.date()
        rows = self._bigquery.query_in(self._dataset_id, _SINCE, [_day("since", today - back)])
        return Usage(today, tuple(map(_usage_day, rows)))

    def open(self, now: datetime) -> None:
        """Make the row of the day of `now`, once, however many processes do."""
        table = self._bigquery.get_table(self._dataset_id, _TABLE)
        if table is None or table.created is None:
            raise PermanentError(
                ErrorCode.NOT_FOUND,
                f"Repair the tenant's tables in Dagster: {self._dataset_id} has no table {_TABLE}.",
            )
        # a table that was made anew today has no row, whatever was inserted into the one before
        name = f"usage_{self._tenant_id}_{now:%Y%m%d}_{table.created:%Y%m%dT%H%M%S%f}"
        self._bigquery.execute_in(self._dataset_id, _OPEN, [_day("day", now.date()), _time(now)], name)

    def count(self, run: PipelineRunId, limits: PlanLimits, now: datetime) -> bool:
        """Count `run` and give it a place; False, and nothing changed, if it is counted or the plan has none left."""
        parameters = [
            *self._about(run, now),
            _day("day", now.date()),
            ScalarQueryParameter("runs_per_day", "INT64", limits.runs_per_day),
            ScalarQueryParameter("concurrent_runs", "INT64", limits.concurrent_runs),
        ]
        return self._bigquery.execute_in(self._dataset_id, _COUNT, parameters) > 0

    def release(self, run: PipelineRunId, now: datetime, *, has_failed: bool, rows_written: int) -> bool:
        """Give back the run's place and count what it did; False, and nothing changed, if it has none."""
        parameters = [
            *self._about(run, now),
            ScalarQueryParameter("failed", "INT64", int(has_failed)),
            ScalarQueryParameter("rows", "INT64", rows_written),
        ]
        return self._bigquery.execute_in(self._dataset_id, _RELEASE, parameters) > 0

    def withdraw(self, run: PipelineRunId, now: datetime) -> bool:
        """Take back the count of a live run that never began; False, and nothing changed, if it has no place."""
        return self._bigquery.execute_in(self._dataset_id, _WITHDRAW, self._about(run, now)) > 0

    def _about(self, run: PipelineRunId, now: datetime) -> list[ScalarQueryParameter]:
        return [
            ScalarQueryParameter("run", "STRING", run),
            _day("since", now.date() - WINDOW),
            _time(now),
        ]


def _usage_day(row: Row) -> UsageDay:
    return UsageDay(
        day=row["usage_date"],
        pipeline_runs=row["pipeline_runs"],
        failed_runs=row["failed_runs"],
        rows_written=row["rows_written"],
        admitted=tuple(map(PipelineRunId, row["admitted_runs"])),
        live=tuple(map(PipelineRunId, row["live_runs"])),
        updated_at=row["updated_at"],
    )


def _day(name: str, value: date) -> ScalarQueryParameter:
    return ScalarQueryParameter(name, "DATE", value)


def _time(value: datetime) -> ScalarQueryParameter:
    return ScalarQueryParameter("now", "TIMESTAMP", value)
