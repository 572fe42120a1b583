from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.job_base import RepoBackedJob
from dagster._core.execution.api import execute_run_iterator

from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.health.assets import HEALTH_STATUS
from convergence_orchestration.health.jobs import HEALTH_JOB
from convergence_orchestration.health.model import ProbeName, ProbeStatus
from convergence_orchestration.health.schedules import health_check_schedule
from convergence_orchestration.health.store import HealthChecks
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.warehouse.builders import with_tables


@pytest.fixture
def own(settings: Settings, local_gcp: Emulator) -> Settings:
    """A project of its own in which nothing was released."""
    hosts = ("run_emulator_host", "build_emulator_host", "monitoring_emulator_host")
    return settings.model_copy(update=dict.fromkeys(hosts, local_gcp.grpc_address))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as one:
        yield one


def executed(settings: Settings, instance: dg.DagsterInstance, tags: Mapping[str, str]) -> dg.DagsterRun:
    """The run as a worker executes it: with the code location around the job."""
    job = RepoBackedJob(HEALTH_JOB, build_definitions(settings).get_repository_def())
    run = instance.create_run_for_job(job.get_definition(), tags=tags)
    for _ in execute_run_iterator(job, run, instance):
        pass
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    return ended


def shown(instance: dg.DagsterInstance) -> dict[str, object]:
    event = instance.get_latest_materialization_event(dg.AssetKey(HEALTH_STATUS))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_a_round_is_shown_also_where_it_cannot_be_kept_yet(
    own: Settings, instance: dg.DagsterInstance
) -> None:
    run = executed(own, instance, {})

    assert run.is_success
    facts = shown(instance)
    assert str(facts["not_kept"]).startswith("Bootstrap the platform first")
    probes = [record.data["probe"] for record in facts["probes"].records]  # type: ignore[attr-defined]
    assert {"cloud_run", "kms_round_trip", "bigquery_query", "bigquery_quota", "run_queue"} <= set(probes)
    assert {"sensor_lag"} <= set(probes)  # never ticked here, which is unknown
    assert "data:image/svg+xml;base64," in str(facts["last_hour"])


def test_a_round_is_kept_and_the_schedules_asks_for_the_quota_now_and_then(
    own: Settings, instance: dg.DagsterInstance
) -> None:
    bigquery = with_tables(own, "health_checks")

    run = executed(own, instance, {"dagster/schedule_name": "health_check_schedule"})

    assert run.is_success
    kept = HealthChecks(bigquery).history(datetime.now(UTC) - timedelta(hours=1))
    facts = shown(instance)
    assert "not_kept" not in facts
    assert len(kept) == facts["healthy"] + facts["unhealthy"] + facts["unknown"]  # type: ignore[operator]
    query = next(one for one in kept if one.probe is ProbeName.BIGQUERY_QUERY)
    assert (query.status, query.environment, query.target) == (
        ProbeStatus.HEALTHY,
        "development",
        own.gcp_project_id,
    )


def test_a_round_that_cannot_be_kept_is_shown_and_fails(
    own: Settings, instance: dg.DagsterInstance, local_bigquery: Emulator
) -> None:
    with_tables(own, "health_checks")
    faults = [{"method": "POST */tables/health_checks/insertAll", "code": 403}]
    local_bigquery.faults_file.write_text(yaml.safe_dump(faults))
    try:
        run = executed(own, instance, {})
    finally:
        local_bigquery.faults_file.unlink()

    assert run.is_failure
    assert "roles/bigquery.admin" in str(shown(instance)["not_kept"])


def test_rounds_do_not_pile_up(instance: dg.DagsterInstance) -> None:
    with dg.build_schedule_context(instance=instance) as context:
        assert isinstance(health_check_schedule(context), dg.RunRequest)
        instance.add_run(dg.DagsterRun(job_name=HEALTH_JOB, status=dg.DagsterRunStatus.STARTED))
        assert isinstance(health_check_schedule(context), dg.SkipReason)
