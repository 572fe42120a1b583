"""One attempt at a pipeline run against the emulator: done once, killed anywhere, failed, not admitted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from google.cloud.bigquery import Client

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery, Parameters
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.pipelines.attempt import PipelineAttempt
from convergence_orchestration.tenancy.pipelines.history import RunHistory
from convergence_orchestration.tenancy.pipelines.model import PipelineAsked, PipelineState
from convergence_orchestration.tenancy.pipelines.quota import UsageDay
from convergence_orchestration.tenancy.pipelines.usage import UsageDays
from convergence_orchestration.warehouse.model import tenant_dataset
from convergence_orchestration_tests.tenancy.dying import KilledError
from convergence_orchestration_tests.tenancy.pipelines.builders import NOON, SMALL, asked, event, run

TWO_TABLES = asked("step_logs", "cost_billing")
WRITES = 7  # RUNNING, two appends for each of two tables, SUCCEEDED, the place


class DyingInATenantsDataset(BigQuery):
    """Does its first `writes` writes and dies right behind the last of them, before its answer is used."""

    def __init__(self, client: Client, writes: int) -> None:
        super().__init__(client)
        self._left = writes

    def execute_in(
        self, dataset_id: str, sql: str, params: Parameters = (), job_name: str | None = None
    ) -> int:
        answer = super().execute_in(dataset_id, sql, params, job_name)
        self._count()
        return answer

    def append(self, dataset_id: str, table_id: str, rows: Sequence[Mapping[str, object]]) -> None:
        super().append(dataset_id, table_id, rows)
        self._count()

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise KilledError


class FailingBigQuery(BigQuery):
    """Fails when a table is looked at."""

    def __init__(self, client: Client, error: Exception) -> None:
        super().__init__(client)
        self._error = error

    def get_table(self, dataset_id: str, table_id: str) -> None:
        del dataset_id, table_id
        raise self._error


def attempt(
    bigquery: BigQuery, own: TenantId, todo: PipelineAsked = TWO_TABLES, *, is_last_try: bool = True
) -> PipelineAttempt:
    return PipelineAttempt(bigquery, own, run(1), todo, "dagster-run", is_last_try, lambda: NOON)


def admitted(bigquery: BigQuery, own: TenantId) -> UsageDays:
    days = UsageDays(bigquery, own)
    days.open(NOON)
    assert days.count(run(1), SMALL, NOON)
    return days


def today(days: UsageDays) -> UsageDay:
    (one,) = days.recent(NOON).days
    return one


def event_ids(bigquery: BigQuery, own: TenantId, table: str) -> list[str]:
    selects = {
        "dq_results": "SELECT event_id FROM dq_results",
        "step_logs": "SELECT event_id FROM step_logs",
        "pipeline_runs": "SELECT event_id FROM pipeline_runs",
    }
    rows = bigquery.query_in(tenant_dataset(own), selects[table])
    return sorted(row["event_id"] for row in rows)


def test_a_run_writes_its_results_its_steps_and_its_end_and_gives_back_its_place(
    bigquery: BigQuery, own: TenantId
) -> None:
    days = admitted(bigquery, own)

    done = attempt(bigquery, own).carry_out()

    assert (done.state, done.rows_written, done.run_id) == (PipelineState.SUCCEEDED, 8, "dagster-run")
    assert (done.started_at, done.finished_at) == (NOON, NOON)
    checks = ("columns_as_declared", "freshness", "rows_countable")
    tables = ("cost_billing", "step_logs")
    assert event_ids(bigquery, own, "dq_results") == [
        f"{run(1)}.{table}.{check}" for table in tables for check in checks
    ]
    assert event_ids(bigquery, own, "step_logs") == [f"{run(1)}.{table}" for table in tables]
    assert event_ids(bigquery, own, "pipeline_runs") == [f"{run(1)}.RUNNING", f"{run(1)}.SUCCEEDED"]
    assert (today(days).live, today(days).failed_runs, today(days).rows_written) == ((), 0, 8)


@pytest.mark.parametrize("writes", range(1, WRITES + 1))
def test_a_run_that_was_killed_behind_any_write_does_the_rest_when_it_runs_again(
    project: Settings, bigquery: BigQuery, own: TenantId, writes: int
) -> None:
    days = admitted(bigquery, own)
    with pytest.raises(KilledError):
        attempt(DyingInATenantsDataset(bigquery_client(project), writes), own).carry_out()

    done = attempt(bigquery, own).carry_out()

    assert (done.state, done.rows_written) == (PipelineState.SUCCEEDED, 8)
    assert len(event_ids(bigquery, own, "dq_results")) == 6
    assert len(event_ids(bigquery, own, "step_logs")) == 2
    assert (today(days).live, today(days).rows_written) == ((), 8)


def test_a_run_that_was_never_admitted_writes_nothing(bigquery: BigQuery, own: TenantId) -> None:
    with pytest.raises(PermanentError) as raised:
        attempt(bigquery, own).carry_out()

    assert raised.value.code is ErrorCode.FAILED_PRECONDITION
    assert event_ids(bigquery, own, "pipeline_runs") == event_ids(bigquery, own, "dq_results") == []


def test_a_run_whose_admission_was_taken_back_tells_whoever_waits_for_it(
    bigquery: BigQuery, own: TenantId
) -> None:
    history = RunHistory(bigquery, own)
    history.append(event(PipelineState.QUEUED))

    with pytest.raises(PermanentError):
        attempt(bigquery, own).carry_out()

    found = history.get(run(1))
    assert found is not None
    assert (found.state, found.error_code) == (PipelineState.FAILED, "failed_precondition")


def test_a_run_that_has_ended_stays_as_it_ended(bigquery: BigQuery, own: TenantId) -> None:
    days = admitted(bigquery, own)
    RunHistory(bigquery, own).append(event(PipelineState.FAILED, rows_written=2))

    done = attempt(bigquery, own).carry_out()

    assert done.state is PipelineState.FAILED
    assert event_ids(bigquery, own, "dq_results") == []
    assert (today(days).live, today(days).failed_runs, today(days).rows_written) == ((), 1, 2)


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (PermanentError(ErrorCode.PERMISSION_DENIED, "gcloud ..."), "permission_denied", "Start it again"),
        (TransientError(ErrorCode.UNAVAILABLE, "10.0.0.1 is down"), "unavailable", "Start it again"),
        (RuntimeError("a defect"), "internal", "Report this"),
    ],
)
def test_a_failure_is_recorded_without_the_platforms_own_words(
    project: Settings, bigquery: BigQuery, own: TenantId, error: Exception, code: str, says: str
) -> None:
    days = admitted(bigquery, own)

    with pytest.raises(type(error)):
        attempt(FailingBigQuery(bigquery_client(project), error), own).carry_out()

    failed = RunHistory(bigquery, own).get(run(1))
    assert failed is not None
    assert (failed.state, failed.error_code) == (PipelineState.FAILED, code)
    assert (failed.reason or "").startswith(says)
    assert (today(days).live, today(days).failed_runs) == ((), 1)


def test_a_failure_that_may_pass_keeps_its_place_for_the_next_try(
    project: Settings, bigquery: BigQuery, own: TenantId
) -> None:
    days = admitted(bigquery, own)
    failing = FailingBigQuery(bigquery_client(project), TransientError(ErrorCode.UNAVAILABLE, "Down."))

    with pytest.raises(TransientError):
        attempt(failing, own, is_last_try=False).carry_out()

    assert today(days).live == (run(1),)
    assert attempt(bigquery, own).carry_out().state is PipelineState.SUCCEEDED


def test_a_failure_that_cannot_be_recorded_is_still_the_failure(
    project: Settings, bigquery: BigQuery, own: TenantId
) -> None:
    admitted(bigquery, own)
    failing = FailingBigQuery(
        bigquery_client(project), PermanentError(ErrorCode.PERMISSION_DENIED, "Not you.")
    )
    one = attempt(failing, own)
    bigquery.delete_table(tenant_dataset(own), "usage_daily")

    with pytest.raises(ConvergenceError) as raised:
        replace(one, is_last_try=True).carry_out()

    assert raised.value.code in {ErrorCode.NOT_FOUND, ErrorCode.PERMISSION_DENIED}
