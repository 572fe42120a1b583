"""One attempt at one admitted pipeline run: what is recorded before, after, and when it fails.

What belongs here: the events, the place that is given back, and the order of both. Dagster is not known here. The final
event comes before the place is given back: a run that is killed in between is seen to have ended by whoever wants the
place, and loses it without anybody asking Dagster.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.logs import logger
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.pipelines.data_quality import checks_of, look_at
from convergence_orchestration.tenancy.pipelines.history import RunHistory
from convergence_orchestration.tenancy.pipelines.model import (
    PipelineAsked,
    PipelineRun,
    PipelineRunEvent,
    PipelineRunId,
    PipelineState,
    parameters_as_json,
)
from convergence_orchestration.tenancy.pipelines.results import RunResults, Step
from convergence_orchestration.tenancy.pipelines.usage import UsageDays
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration.warehouse.model import TableSpec

_DEFECT = "Report this with the pipeline run's id: an error nobody expected ended it."
_FAILED_FOR_NOW = "Start it again later: the platform could not carry it out."
_log = logger(__name__)


@dataclass(frozen=True)
class PipelineAttempt:
    """A pipeline run and the Dagster run that works on it.

    Attributes:
        is_last_try: nobody repeats this attempt by itself, so that a failure that may pass is recorded as well.
        clock: the time now, UTC.
    """

    bigquery: BigQuery
    tenant_id: TenantId
    pipeline_run_id: PipelineRunId
    asked: PipelineAsked
    run_id: str
    is_last_try: bool
    clock: Callable[[], datetime]

    def carry_out(self) -> PipelineRun:
        """Do what of the run is not done yet, and give back its place; a run that has ended changes nothing more.

        Raises:
            PermanentError: FAILED_PRECONDITION if the run was never admitted, or its admission was taken back.
            ConvergenceError: what kept the run from being carried out.
        """
        known = self._history.get(self.pipeline_run_id)
        if known is not None and known.state.is_final:
            give_back(self._days, known, self.clock())
            return known
        try:
            self._ensure_admitted()
            return self._work()
        except _NotAdmittedError:
            if known is not None:  # somebody was told that it would run
                self._record_failure(ErrorCode.FAILED_PRECONDITION)
            raise
        except Exception as error:
            if self.is_last_try or not isinstance(error, TransientError):
                self._record_failure(
                    error.code if isinstance(error, ConvergenceError) else ErrorCode.INTERNAL
                )
            raise

    @property
    def _history(self) -> RunHistory:
        return RunHistory(self.bigquery, self.tenant_id)

    @property
    def _days(self) -> UsageDays:
        return UsageDays(self.bigquery, self.tenant_id)

    def _ensure_admitted(self) -> None:
        if self.pipeline_run_id in self._days.recent(self.clock()).live:
            return
        raise _NotAdmittedError(
            ErrorCode.FAILED_PRECONDITION,
            "Start it with POST /api/v1/tenants/me/pipeline-runs: this pipeline run is not admitted, or no longer.",
            {"pipeline_run_id": self.pipeline_run_id},
        )

    def _work(self) -> PipelineRun:
        self._append(PipelineState.RUNNING)
        results = RunResults(self.bigquery, self.tenant_id, self.pipeline_run_id)
        written = results.written()
        for spec in self._chosen_tables():
            if results.step_id(spec.name) not in written:
                results.write(self._checked(spec), written, self.clock())
        return self._end(PipelineState.SUCCEEDED, rows_written=len(results.written()))

    def _chosen_tables(self) -> list[TableSpec]:
        return [spec for spec in tenant_tables() if spec.name in self.asked.parameters.tables]

    def _checked(self, spec: TableSpec) -> Step:
        began = time.perf_counter()
        seen = look_at(self.bigquery, self.tenant_id, spec)
        max_age = timedelta(hours=self.asked.parameters.max_age_hours)
        checks = checks_of(spec, seen, max_age, self.clock())
        return Step(spec.name, tuple(checks), time.perf_counter() - began)

    def _record_failure(self, code: ErrorCode) -> None:
        # the error's own words name hosts and roles, which are not a tenant's to know: Dagster has them
        reason = _DEFECT if code is ErrorCode.INTERNAL else _FAILED_FOR_NOW
        try:
            self._end(PipelineState.FAILED, 0, code, reason)
        except ConvergenceError as second:
            _log.warning(
                "A failed pipeline run could not be recorded.",
                pipeline_run_id=self.pipeline_run_id,
                code=code,
                because=second.code,
            )

    def _end(
        self,
        state: PipelineState,
        rows_written: int,
        error_code: ErrorCode | None = None,
        reason: str | None = None,
    ) -> PipelineRun:
        self._append(state, rows_written, error_code, reason)
        ended = self._history.get(self.pipeline_run_id)
        if ended is None:
            raise TransientError(
                ErrorCode.UNAVAILABLE, "Try again: what was just written cannot be read yet."
            )
        give_back(self._days, ended, self.clock())
        return ended

    def _append(
        self,
        state: PipelineState,
        rows_written: int | None = None,
        error_code: ErrorCode | None = None,
        reason: str | None = None,
    ) -> None:
        now = self.clock()
        event = PipelineRunEvent(
            pipeline_run_id=self.pipeline_run_id,
            pipeline=self.asked.pipeline,
            state=state,
            recorded_at=now,
            parameters=parameters_as_json(self.asked),
            started_at=now if state is PipelineState.RUNNING else None,
            finished_at=now if state.is_final else None,
            rows_written=rows_written,
            error_code=error_code,
            reason=reason,
            run_id=self.run_id,
        )
        self._history.append(event)


class _NotAdmittedError(PermanentError):
    """The run has no place: it was never given one, or it was taken back."""


def give_back(days: UsageDays, ended: PipelineRun, now: datetime) -> bool:
    """Give back the place of a run that has ended, and count how; False if that was done before."""
    return days.release(
        ended.pipeline_run_id,
        now,
        has_failed=ended.state is not PipelineState.SUCCEEDED,
        rows_written=ended.rows_written,
    )
