from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.resources import settings_resources
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.pipelines.history import RunHistory
from convergence_orchestration.tenancy.pipelines.jobs import pipeline_jobs, tenant_pipeline
from convergence_orchestration.tenancy.pipelines.model import PIPELINE_JOB, PIPELINE_RUN_TAG, PipelineState
from convergence_orchestration.tenancy.pipelines.usage import UsageDays
from convergence_orchestration_tests.tenancy.dagster_runs import undescribed
from convergence_orchestration_tests.tenancy.pipelines.builders import SMALL, run


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as one:
        yield one


def run_config(tenant_id: str, **config: object) -> dict[str, object]:
    values = {"tenant_id": tenant_id, "pipeline_run_id": run(1), "tables": ["step_logs"], **config}
    return {"ops": {"run_pipeline": {"config": values}}}


def executed(
    project: Settings, instance: dg.DagsterInstance, tenant_id: str, **config: object
) -> dg.ExecuteInProcessResult:
    return tenant_pipeline.execute_in_process(
        run_config=run_config(tenant_id, **config),
        resources={"bigquery": settings_resources(project)["bigquery"]},
        instance=instance,
        tags={PIPELINE_RUN_TAG: run(1)},
        raise_on_error=False,
    )


def failure(result: dg.ExecuteInProcessResult) -> tuple[object, str]:
    assert not result.success
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    (event,) = [each for each in result.all_events if each.is_step_failure]
    declared = event.step_failure_data.user_failure_data
    assert declared is not None
    return declared.metadata["code"].value, declared.description or ""


def admit(bigquery: BigQuery, own: TenantId) -> None:
    days, now = UsageDays(bigquery, own), datetime.now(UTC)
    days.open(now)
    assert days.count(run(1), SMALL, now)


def test_an_admitted_run_is_carried_out(
    project: Settings, instance: dg.DagsterInstance, bigquery: BigQuery, own: TenantId
) -> None:
    admit(bigquery, own)

    result = executed(project, instance, own)

    assert result.success
    done = RunHistory(bigquery, own).get(run(1))
    assert done is not None
    assert (done.state, done.run_id, done.rows_written) == (PipelineState.SUCCEEDED, result.run_id, 4)


def test_a_run_that_was_not_admitted_fails_once_with_what_to_do(
    project: Settings, instance: dg.DagsterInstance, own: TenantId
) -> None:
    code, message = failure(executed(project, instance, own))
    assert code == ErrorCode.FAILED_PRECONDITION
    assert message.startswith("Start it with POST")


def test_of_two_runs_for_one_pipeline_run_the_older_one_does_it(
    project: Settings, instance: dg.DagsterInstance, bigquery: BigQuery, own: TenantId
) -> None:
    admit(bigquery, own)
    older = instance.create_run_for_job(
        tenant_pipeline,
        run_config=run_config(own),
        tags={PIPELINE_RUN_TAG: run(1)},
        status=dg.DagsterRunStatus.STARTED,
    )

    code, message = failure(executed(project, instance, own))

    assert code == ErrorCode.REQUEST_IN_PROGRESS
    assert older.run_id in message
    assert RunHistory(bigquery, own).get(run(1)) is None
    instance.report_run_failed(older)
    assert executed(project, instance, own).success


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"tenant_id": "tenants"}, ErrorCode.RESERVED_TENANT_ID),
        ({"tenant_id": "acme.tenants"}, ErrorCode.INVALID_TENANT_ID),
        ({"pipeline_run_id": "run_1"}, ErrorCode.INVALID_ARGUMENT),
        ({"pipeline": "nope"}, ErrorCode.INVALID_ARGUMENT),
        ({"tables": ["tenants.tenant_profiles"]}, ErrorCode.INVALID_ARGUMENT),
    ],
)
def test_a_wrong_config_fails_once(
    project: Settings, instance: dg.DagsterInstance, config: dict[str, str], code: ErrorCode
) -> None:
    assert failure(executed(project, instance, **{"tenant_id": "acme", **config}))[0] == code


def test_every_field_is_described_and_the_code_location_offers_the_job(project: Settings) -> None:
    (job,) = pipeline_jobs()
    assert job.description
    assert [field for node in job.all_node_defs for field in undescribed(node)] == []
    assert build_definitions(project).resolve_job_def(PIPELINE_JOB).name == PIPELINE_JOB
