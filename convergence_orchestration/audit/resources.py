"""The audit log in Dagster: the executor that records every run, and the resource `audit` for what runs record.

What belongs here: when a run's rows are written, in the order of `acts.py`. What they say is `runs.py`. The executor is the one seam that no job can
forget: a job that names no executor gets it from `definitions.py`, and a test looks at every job.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import dagster as dg

from convergence_orchestration.audit import acts
from convergence_orchestration.audit.model import AuditEntry, Outcome
from convergence_orchestration.audit.runs import BEFORE_THE_LOG, actor_of, entry_of
from convergence_orchestration.audit.trail import AuditTrail
from convergence_orchestration.audit.writer import AuditWriter, new_writer_id
from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.resources import BigQueryConnection
from convergence_orchestration.logs import logger
from convergence_orchestration.settings import Environment

EXECUTOR = "audited_in_process"
_log = logger(__name__)


class RunTrails:
    """One writer for each run of this process, whoever of the run asks for it first."""

    def __init__(self, connection: BigQueryConnection, environment: Environment) -> None:
        self._connection = connection
        self._environment = environment
        self._lock = Lock()
        self._open: dict[str, AuditTrail] = {}

    @contextmanager
    def of(self, run: dg.DagsterRun) -> Iterator[AuditTrail]:
        """The run's trail, which ends with the outermost block that asked for it."""
        with self._lock:
            trail = self._open.get(run.run_id)
        if trail is not None:
            yield trail
            return
        with self._connection.get_client() as client:
            writer = AuditWriter(
                BigQuery(client),
                new_writer_id(f"run:{run.run_id}"),
                self._environment,
                lambda: datetime.now(UTC),
            )
            trail = AuditTrail(writer, actor_of(run.tags).kind)
            with self._lock:
                self._open[run.run_id] = trail
            try:
                yield trail
            finally:
                with self._lock:
                    del self._open[run.run_id]
                writer.close()


class AuditedExecutor(dg.Executor):
    """Dagster's own in-process executor between two rows: ATTEMPTED before the first step, the outcome behind the last.

    A run whose rows cannot be written fails: before its first step, and then it did nothing, or behind its last.
    """

    def __init__(self, inner: dg.Executor, trails: RunTrails) -> None:
        self._inner = inner
        self._trails = trails

    @property
    def retries(self) -> Any:  # noqa: ANN401 Dagster does not export its type
        """Those of Dagster's executor."""
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:  # noqa: ANN401 Dagster does not export its type
        """That of Dagster's executor."""
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:  # noqa: ANN401 as above
        """The run's events, as Dagster's executor gives them."""
        run: dg.DagsterRun = plan_context.dagster_run
        with self._trails.of(run) as trail:
            attempted = _entry(run, Outcome.ATTEMPTED, None, datetime.now(UTC))
            held = acts.begin(trail, attempted, needs_log=_needs_log(run))
            error: ErrorCode | None = ErrorCode.UNAVAILABLE  # until it is known that it ran to its end
            try:
                found = None
                for event in self._inner.execute(plan_context, execution_plan):
                    found = found or _error_of(event)
                    yield event
                error = found
            except BaseException:
                acts.end_anyhow(trail, held, _entry(run, Outcome.FAILED, error))
                raise
            _end(trail, run, held, error)


def audited_executor(trails: RunTrails) -> dg.ExecutorDefinition:
    """What `definitions.py` gives every job that names no executor; configured as Dagster's in-process executor."""
    inner = dg.in_process_executor

    def made(context: dg.InitExecutorContext) -> dg.Executor:
        create = inner.executor_creation_fn
        assert create is not None  # noqa: S101 Dagster's own has one
        return AuditedExecutor(create(context), trails)

    return dg.ExecutorDefinition(
        name=EXECUTOR,
        config_schema=inner.config_schema.as_field(),  # its own, whatever it is
        executor_creation_fn=made,
        description="One process for all steps; the run is recorded in the audit log before it begins and when it ends.",
    )


def audit_resources(trails: RunTrails) -> dict[str, dg.ResourceDefinition]:
    """The resource `audit`: the run's `AuditTrail`."""

    @dg.resource(description="The audit log, as this run writes it.")
    @contextmanager
    def audit(context: dg.InitResourceContext) -> Iterator[AuditTrail]:
        assert context.run is not None  # noqa: S101 resources of ops have a run
        with trails.of(context.run) as trail:
            yield trail

    return {"audit": audit}


def _end(trail: AuditTrail, run: dg.DagsterRun, held: list[AuditEntry], error: ErrorCode | None) -> None:
    outcome = Outcome.SUCCEEDED if error is None else Outcome.FAILED
    makes_the_log = run.job_name == "bootstrap" and error is None
    if not acts.end(trail, held, _entry(run, outcome, error), needs_log=makes_the_log or _needs_log(run)):
        _log.warning(
            "A run left no audit row: there is no audit log yet.", job=run.job_name, run_id=run.run_id
        )


def _needs_log(run: dg.DagsterRun) -> bool:
    return run.job_name not in BEFORE_THE_LOG


def _entry(
    run: dg.DagsterRun, outcome: Outcome, error: ErrorCode | None, at: datetime | None = None
) -> AuditEntry:
    return replace(
        entry_of(run.run_id, run.job_name, run.tags, run.run_config, outcome, error), recorded_at=at
    )


def _error_of(event: dg.DagsterEvent) -> ErrorCode | None:
    """Why a step failed, None for any other event; INTERNAL for what is no error of ours."""
    if not event.is_step_failure:
        return None
    declared = event.step_failure_data.user_failure_data
    code = declared.metadata.get("code") if declared else None
    text = str(code.value) if code is not None else ""
    return ErrorCode(text) if text in ErrorCode else ErrorCode.INTERNAL
