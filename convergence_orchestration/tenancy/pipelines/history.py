"""The history of a tenant's pipeline runs: `pipeline_runs` in its own dataset, to which rows are appended.

What belongs here: appending events and reading runs back. What events mean is `model.run_of`.
"""

from collections.abc import Iterable
from pathlib import Path

from google.cloud.bigquery import ArrayQueryParameter, Row, ScalarQueryParameter

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.pipelines.model import (
    TRIGGERED_BY_API,
    Pipeline,
    PipelineRun,
    PipelineRunEvent,
    PipelineRunId,
    PipelineState,
    run_of,
)
from convergence_orchestration.warehouse.model import tenant_dataset

_HERE = Path(__file__)
_OF_RUNS = _HERE.with_name("history_of_runs.sql").read_text(encoding="utf-8")
_PAGE = _HERE.with_name("history_page.sql").read_text(encoding="utf-8")


class RunHistory:
    """One tenant's history. Errors are those of `gcp.bigquery`; NOT_FOUND if the tenant has no such table."""

    def __init__(self, bigquery: BigQuery, tenant_id: TenantId) -> None:
        self._bigquery = bigquery
        self._dataset_id = tenant_dataset(tenant_id)

    def append(self, event: PipelineRunEvent) -> None:
        """Write down that `event` happened; the same event twice counts once."""
        self._bigquery.append(self._dataset_id, "pipeline_runs", [_row_of(event)])

    def get(self, run: PipelineRunId) -> PipelineRun | None:
        """The run, or None if this tenant has none of this id."""
        return self.of([run]).get(run)

    def of(self, runs: Iterable[PipelineRunId]) -> dict[PipelineRunId, PipelineRun]:
        """Those of `runs` that there are."""
        rows = self._bigquery.query_in(
            self._dataset_id, _OF_RUNS, [ArrayQueryParameter("runs", "STRING", list(runs))]
        )
        return {run.pipeline_run_id: run for run in _runs(rows)}

    def page(self, limit: int, before: PipelineRunId | None = None) -> list[PipelineRun]:
        """At most `limit` runs, the newest first, those asked for before the run `before`."""
        parameters = [
            ScalarQueryParameter("before", "STRING", before or ""),
            ScalarQueryParameter("page_size", "INT64", limit),
        ]
        runs = _runs(self._bigquery.query_in(self._dataset_id, _PAGE, parameters))
        return sorted(runs, key=lambda run: (run.requested_at, run.pipeline_run_id), reverse=True)


def _runs(rows: Iterable[Row]) -> list[PipelineRun]:
    by_run: dict[PipelineRunId, list[PipelineRunEvent]] = {}
    for event in map(_event_of, rows):
        by_run.setdefault(event.pipeline_run_id, []).append(event)
    return [run for run in map(run_of, by_run.values()) if run is not None]


def _row_of(event: PipelineRunEvent) -> dict[str, object]:
    row: dict[str, object | None] = {
        "event_id": event.event_id,
        "pipeline_run_id": event.pipeline_run_id,
        "pipeline": str(event.pipeline),
        "state": str(event.state),
        "trigger": TRIGGERED_BY_API,
        "parameters": event.parameters,
        "key_id": event.key_id,
        "started_at": event.started_at,
        "finished_at": event.finished_at,
        "rows_written": event.rows_written,
        "error_code": event.error_code,
        "reason": event.reason,
        "run_id": event.run_id,
        "recorded_at": event.recorded_at,
    }
    return {name: value for name, value in row.items() if value is not None}


def _event_of(row: Row) -> PipelineRunEvent:
    return PipelineRunEvent(
        pipeline_run_id=PipelineRunId(row["pipeline_run_id"]),
        pipeline=Pipeline(row["pipeline"]),
        state=PipelineState(row["state"]),
        recorded_at=row["recorded_at"],
        parameters=row["parameters"],
        key_id=row["key_id"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        rows_written=row["rows_written"],
        error_code=row["error_code"],
        reason=row["reason"],
        run_id=row["run_id"],
    )
