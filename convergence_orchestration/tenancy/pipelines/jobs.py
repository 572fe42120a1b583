"""The job of tenants' pipelines as Dagster runs it: `tenant_pipeline`.

What belongs here: config, and reporting to Dagster. What is done is `attempt.py`.
"""

from datetime import UTC, datetime

import dagster as dg
from pydantic import Field

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.tenancy.model import TENANT_ID_PATTERN, parse_tenant_id
from convergence_orchestration.tenancy.pipelines.attempt import PipelineAttempt
from convergence_orchestration.tenancy.pipelines.model import (
    PIPELINE_JOB,
    PIPELINE_RUN_ID_PATTERN,
    PIPELINE_RUN_TAG,
    Pipeline,
    parse_pipeline_asked,
    parse_pipeline_run_id,
)

_RETRIES = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL)
_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


class PipelineConfig(dg.Config):
    """What the API launches it with."""

    tenant_id: str = Field(description=f"The tenant whose pipeline runs. Pattern {TENANT_ID_PATTERN}.")
    pipeline_run_id: str = Field(
        description=f"The pipeline run as POST /tenants/me/pipeline-runs admitted it. Pattern {PIPELINE_RUN_ID_PATTERN}."
    )
    pipeline: str = Field(default=str(Pipeline.DATA_QUALITY), description=f"One of {', '.join(Pipeline)}.")
    tables: list[str] = Field(default=[], description="The tables to check; all if empty.")
    max_age_hours: int = Field(
        default=24, description="Hours without a new row after which a table is stale."
    )


@dg.op(
    description="Carries out one admitted pipeline run of a tenant and writes its results into the tenant's dataset. Any "
    "number of repetitions give the results once.",
    retry_policy=_RETRIES,
)
def run_pipeline(
    context: dg.OpExecutionContext, config: PipelineConfig, bigquery: BigQueryConnection
) -> None:
    """One attempt at one pipeline run."""
    with reported_failures():
        _refuse_a_second_run_at_once(context)
        attempt = PipelineAttempt(
            bigquery=bigquery.bigquery(),
            tenant_id=parse_tenant_id(config.tenant_id),
            pipeline_run_id=parse_pipeline_run_id(config.pipeline_run_id),
            asked=parse_pipeline_asked(
                config.pipeline, {"tables": config.tables, "max_age_hours": config.max_age_hours}
            ),
            run_id=context.run_id,
            is_last_try=context.retry_number >= _RETRIES.max_retries,
            clock=_now,
        )
        done = attempt.carry_out()
    context.log.info("Pipeline run %s is %s.", done.pipeline_run_id, done.state)
    context.add_output_metadata(
        {
            "pipeline_run_id": dg.MetadataValue.text(done.pipeline_run_id),
            "state": dg.MetadataValue.text(str(done.state)),
            "rows_written": dg.MetadataValue.int(done.rows_written),
        }
    )


@dg.job(
    name=PIPELINE_JOB,
    description="A tenant's own pipeline run. The API launches it for POST /tenants/me/pipeline-runs, which counts it; "
    "re-execute one that was killed, it does what is missing.",
    executor_def=dg.in_process_executor,  # not audited: a tenant's own call, of which pipeline_runs tells
)
def tenant_pipeline() -> None:
    """The one op, so that it can be launched by name."""
    run_pipeline()


def pipeline_jobs() -> list[dg.JobDefinition]:
    """The jobs of this package."""
    return [tenant_pipeline]


def _refuse_a_second_run_at_once(context: dg.OpExecutionContext) -> None:
    """End a run beside an older one of the same pipeline run: a launch whose answer was lost may be repeated.

    A re-execution is no such repetition: the run before it may still look alive.
    """
    pipeline_run_id = context.run.tags.get(PIPELINE_RUN_TAG)
    if pipeline_run_id is None or context.run.parent_run_id is not None:
        return
    same = dg.RunsFilter(tags={PIPELINE_RUN_TAG: pipeline_run_id}, statuses=_UNDER_WAY)
    oldest = context.instance.get_run_records(same, limit=1, ascending=True)
    if oldest and oldest[0].dagster_run.run_id != context.run_id:
        raise PermanentError(
            ErrorCode.REQUEST_IN_PROGRESS,
            f"Look at run {oldest[0].dagster_run.run_id}: it carries out the same pipeline run.",
            {"run_id": oldest[0].dagster_run.run_id},
        )


def _now() -> datetime:
    return datetime.now(UTC)
