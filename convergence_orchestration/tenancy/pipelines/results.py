"""What a pipeline run writes into the tenant's dataset: `dq_results` and `step_logs`.

What belongs here: the rows and their ids, which follow from what they say, so that a run that was killed and runs again
writes each once.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from google.cloud.bigquery import ScalarQueryParameter

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.pipelines.data_quality import Check
from convergence_orchestration.tenancy.pipelines.model import PipelineRunId
from convergence_orchestration.warehouse.model import tenant_dataset

_WRITTEN = Path(__file__).with_name("results_written.sql").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Step:
    """One step of a run, the checks of one table; `seconds` is how long it took."""

    table: str
    checks: tuple[Check, ...]
    seconds: float


class RunResults:
    """What one run of one tenant wrote. Errors are those of `gcp.bigquery`."""

    def __init__(self, bigquery: BigQuery, tenant_id: TenantId, run: PipelineRunId) -> None:
        self._bigquery = bigquery
        self._dataset_id = tenant_dataset(tenant_id)
        self._run = run

    def written(self) -> frozenset[str]:
        """The event ids of the rows that are there."""
        parameter = ScalarQueryParameter("run", "STRING", self._run)
        rows = self._bigquery.query_in(self._dataset_id, _WRITTEN, [parameter])
        return frozenset(row["event_id"] for row in rows)

    def step_id(self, table: str) -> str:
        """The event id of a table's step, which is written last of the table's rows."""
        return f"{self._run}.{table}"

    def write(self, step: Step, written: frozenset[str], now: datetime) -> None:
        """Append the rows of `step` that are not in `written`."""
        checks = [self._check_row(check, now) for check in step.checks]
        self._append("dq_results", checks, written)
        self._append("step_logs", [self._step_row(step, now)], written)

    def _append(self, table: str, rows: Sequence[dict[str, object]], written: frozenset[str]) -> None:
        missing = [row for row in rows if row["event_id"] not in written]
        if missing:
            self._bigquery.append(self._dataset_id, table, missing)

    def _check_row(self, check: Check, now: datetime) -> dict[str, object]:
        row: dict[str, object | None] = {
            "event_id": f"{self._run}.{check.table}.{check.name}",
            "pipeline_run_id": self._run,
            "check_name": check.name,
            "table_name": check.table,
            "column_name": check.column,
            "severity": str(check.severity),
            "passed": check.passed,
            "checked_rows": check.checked_rows,
            "expected": check.expected,
            "observed": check.observed,
            "recorded_at": now,
        }
        return {name: value for name, value in row.items() if value is not None}

    def _step_row(self, step: Step, now: datetime) -> dict[str, object]:
        failed = [check for check in step.checks if not check.passed]
        return {
            "event_id": self.step_id(step.table),
            "pipeline_run_id": self._run,
            "step": f"check {step.table}",
            "severity": str(max((check.severity for check in failed), key=_gravity)) if failed else "INFO",
            "message": f"{len(step.checks) - len(failed)} of {len(step.checks)} checks passed.",
            "fields": json.dumps({"failed": [check.name for check in failed]}),
            "duration_ms": round(step.seconds * 1000, 1),
            "recorded_at": now,
        }


def _gravity(severity: str) -> int:
    return ("WARNING", "ERROR").index(severity)
