"""Dagster's instance in production, for real: PostgreSQL, a bucket, and the job of Kubernetes that a run becomes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.test_utils import create_run_for_test, in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from dagster_gcp.gcs.compute_log_manager import GCSComputeLogManager
from dagster_k8s import K8sRunLauncher
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage

from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.gcp.resources import settings_resources
from convergence_orchestration.health.instance.resources import orchestration_of
from convergence_orchestration.launcher import ForkServerRunLauncher
from convergence_orchestration.settings import Settings, load_settings
from convergence_orchestration.warehouse.catalogue import central_tables
from convergence_orchestration_tests.deploy.chart import instance_config
from convergence_orchestration_tests.deploy.cloud_storage import Bucket, serving_bucket
from convergence_orchestration_tests.deploy.files import DEPLOY, site, values
from convergence_orchestration_tests.deploy.kubernetes_api import Cluster, serving_cluster
from convergence_orchestration_tests.deploy.postgres import Postgres, running_postgres
from convergence_orchestration_tests.emulators import Emulator, fresh_project_id

JOB = "bootstrap"
IMAGE = f"{site()['IMAGE_REPOSITORY']}:{site()['IMAGE_TAG']}"


@dataclass(frozen=True)
class Production:
    """Everything that the chart's instance stands on, and the instance."""

    instance: dg.DagsterInstance
    config: dict[str, Any]
    bucket: Bucket
    cluster: Cluster
    environment: dict[str, str]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with serving_bucket(site()["DAGSTER_BUCKET"]) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server


@pytest.fixture(scope="module")
def production(
    postgres: Postgres,
    bucket: Bucket,
    local_bigquery: Emulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Production]:
    home = tmp_path_factory.mktemp("home")
    postgres.create("dagster")
    with serving_cluster() as cluster, pytest.MonkeyPatch.context() as patch:
        environment = {
            "DAGSTER_PG_PASSWORD": postgres.password,
            "GCP_PROJECT_ID": fresh_project_id(),
            "BIGQUERY_EMULATOR_HOST": local_bigquery.rest_url,
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        config = instance_config(reached(values(), postgres, home))
        config["run_launcher"]["config"] |= {
            "load_incluster_config": False,
            "kubeconfig_file": str(cluster.kubeconfig(home / "kubeconfig")),
        }
        (home / "dagster.yaml").write_text(yaml.safe_dump(config))
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield Production(instance, config, bucket, cluster, environment)


def reached(given: dict[str, Any], postgres: Postgres, home: Path) -> dict[str, Any]:
    """The values with this machine's database, which speaks no TLS."""
    given["postgresql"] |= {
        "postgresqlHost": "127.0.0.1",
        "service": {"port": postgres.port},
        "postgresqlParams": {},
    }
    given["computeLogManager"]["config"]["gcsComputeLogManager"]["localDir"] = str(home / "logs")
    return given


@pytest.fixture(scope="module")
def launched(production: Production) -> tuple[dg.DagsterRun, dict[str, Any]]:
    """A run of one of our jobs as the chart's launcher launches it, and the job of Kubernetes that it asked for."""
    instance = production.instance
    (deployment,) = values()["dagster-user-deployments"]["deployments"]
    context = {"k8s": {"env": deployment["env"], "security_context": deployment["securityContext"]}}
    target = LoadableTargetOrigin(
        executable_path=sys.executable, module_name="convergence_orchestration.definitions"
    )
    with in_process_test_workspace(instance, target, container_image=IMAGE) as workspace:
        location = workspace.get_code_location(workspace.code_location_names[0])
        (repository,) = location.get_repositories().values()
        job = repository.get_full_job(JOB)
        code = job.get_python_origin()
        origin = code._replace(repository_origin=code.repository_origin._replace(container_context=context))
        run = create_run_for_test(
            instance, job_name=JOB, remote_job_origin=job.get_remote_origin(), job_code_origin=origin
        )
        instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=workspace))
    (asked,) = production.cluster.jobs.values()
    return run, asked


@pytest.fixture(scope="module")
def executed(
    production: Production,
    launched: tuple[dg.DagsterRun, dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dg.DagsterRun:
    """That run, executed as its pod would: by the job's own command in another DAGSTER_HOME."""
    run, asked = launched
    home = tmp_path_factory.mktemp("pod")
    (home / "dagster.yaml").write_text(yaml.safe_dump(production.config))
    program, *arguments = asked["spec"]["template"]["spec"]["containers"][0]["args"]
    environment = {"PATH": os.environ["PATH"], "DAGSTER_HOME": str(home), **production.environment}
    environment |= {
        "STORAGE_EMULATOR_HOST": production.bucket.url,
        "OP_OUTPUTS_BUCKET": production.bucket.name,
    }
    assert program == "dagster"
    done = subprocess.run(
        [sys.executable, "-P", "-m", program, *arguments],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    found = production.instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status is dg.DagsterRunStatus.SUCCESS, done.stderr[-4000:]
    return found


def test_one_machine_in_production_keeps_everything_in_postgres_and_forks_its_runs(
    postgres: Postgres, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_PG_URL", postgres.create("machine"))
    monkeypatch.setenv("DAGSTER_LOGS_BUCKET", bucket.name)
    monkeypatch.setenv("MAX_CONCURRENT_WORKERS", "8")
    (tmp_path / "dagster.yaml").write_text((DEPLOY / "vm" / "dagster.yaml").read_text())

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_storage, PostgresRunStorage)
        assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
        assert isinstance(instance.schedule_storage, PostgresScheduleStorage)
        assert isinstance(instance.run_launcher, ForkServerRunLauncher)
        assert isinstance(instance.compute_log_manager, GCSComputeLogManager)
        assert instance.run_retries_max_retries == 2
    assert not list(tmp_path.rglob("*.db"))


def test_the_charts_instance_is_what_its_values_say(production: Production) -> None:
    instance = production.instance

    assert isinstance(instance.run_launcher, K8sRunLauncher)
    assert isinstance(instance.compute_log_manager, GCSComputeLogManager)
    assert instance.run_monitoring_enabled
    assert instance.run_retries_enabled
    assert not instance.telemetry_enabled


def test_a_run_becomes_a_job_that_holds_no_secret_and_may_do_nothing(
    launched: tuple[dg.DagsterRun, dict[str, Any]],
) -> None:
    _, asked = launched
    pod = asked["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {one["name"]: one for one in container["env"]}

    assert container["image"] == IMAGE
    assert container["resources"] == values()["runLauncher"]["config"]["k8sRunLauncher"]["resources"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["serviceAccountName"] == "dagster"
    assert asked["spec"]["ttlSecondsAfterFinished"] == 3600
    assert asked["spec"]["backoffLimit"] == 0
    assert variables["DAGSTER_PG_PASSWORD"]["valueFrom"]["secretKeyRef"] == {
        "name": "dagster-postgresql-secret",
        "key": "postgresql-password",
    }
    assert variables["OP_OUTPUTS_BUCKET"]["value"] == site()["DAGSTER_BUCKET"]
    assert os.environ["DAGSTER_PG_PASSWORD"] not in json.dumps(asked)


def test_a_pod_executes_the_run_and_everybody_reads_it_in_postgres(
    production: Production, executed: dg.DagsterRun
) -> None:
    instance = production.instance

    made = {
        event.step_materialization_data.materialization.asset_key.to_user_string()
        for event in (
            record.event_log_entry.dagster_event
            for record in instance.get_records_for_run(executed.run_id).records
        )
        if event is not None and event.is_step_materialization
    }
    assert {name.rpartition("/")[2] for name in made} >= {table.name for table in central_tables()}
    assert [run.run_id for run in instance.get_runs(dg.RunsFilter(job_name=JOB))] == [executed.run_id]


def test_what_a_pod_printed_and_handed_on_is_in_the_bucket(
    production: Production, executed: dg.DagsterRun
) -> None:
    names = [name for name in production.bucket.objects if executed.run_id in name]

    assert any(name.startswith("compute-logs/") and name.endswith(".err") for name in names)


def test_a_pod_that_died_is_seen(
    production: Production, launched: tuple[dg.DagsterRun, dict[str, Any]]
) -> None:
    run, asked = launched
    production.cluster.statuses[asked["metadata"]["name"]] = {"failed": 1}

    found = production.instance.run_launcher.check_run_worker_health(run)

    assert found.status is WorkerStatus.FAILED


def test_the_health_probes_read_heartbeats_ticks_and_the_queue_in_postgres(production: Production) -> None:
    instance = production.instance
    repository = build_definitions(settings_of(production)).get_repository_def()
    now = datetime.now(UTC)
    (one, *_) = instance.get_required_daemon_types()
    instance.add_daemon_heartbeat(DaemonHeartbeat(now.timestamp(), one, "daemon", []))

    found = orchestration_of(instance, repository)

    seen = {each.daemon: each.at for each in found.heartbeats}
    assert seen.keys() == set(instance.get_required_daemon_types())
    assert abs((seen[one] or datetime.min.replace(tzinfo=UTC)) - now).total_seconds() < 1
    assert {each.name for each in found.tickers} >= {"tenant_request_sensor", "health_check_schedule"}
    assert found.queue.waiting in {0, 1}


def settings_of(production: Production) -> Settings:
    return load_settings(
        _env_file=None,
        gcp_project_id=production.environment["GCP_PROJECT_ID"],
        bigquery_emulator_host=production.environment["BIGQUERY_EMULATOR_HOST"],
    )


@dg.op
def counted() -> int:
    return 41


@dg.op(config_schema=bool)
def doubled(context: dg.OpExecutionContext, number: int) -> int:
    if context.op_config:
        raise dg.Failure("as the configuration says")
    return number * 2


def counting() -> dg.JobDefinition:
    """A job of two steps with the code location's own `io_manager`."""
    outputs = settings_resources(load_settings(_env_file=None))["io_manager"]

    @dg.job(resource_defs={"io_manager": outputs}, executor_def=dg.in_process_executor)
    def two_steps() -> None:
        doubled(counted())

    return two_steps


def test_a_retry_in_another_pod_has_what_the_first_one_handed_on(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OP_OUTPUTS_BUCKET", bucket.name)
    job = dg.reconstructable(counting)

    def config(*, fails: bool) -> dict[str, Any]:
        return {"ops": {"doubled": {"config": fails}}}

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        with dg.execute_job(job, instance, config(fails=True)) as first:
            assert not first.success
        assert not (tmp_path / "storage" / first.run_id / "counted").exists()
        retry = dg.ReexecutionOptions.from_failure(first.run_id, instance)
        with dg.execute_job(job, instance, config(fails=False), reexecution_options=retry) as second:
            assert second.success
            assert second.output_for_node("doubled") == 82
