"""The launcher's decisions that need no web server: configuration, and runs that are not for a fork server."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import (
    DagsterInstance,
    DagsterInvariantViolationError,
    DagsterRun,
    DagsterRunStatus,
    DefaultRunLauncher,
)
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.errors import DagsterInvalidConfigError
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import (
    CodeLocationOrigin,
    GrpcServerCodeLocationOrigin,
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import make_new_run_id

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.launcher import ForkServerRunLauncher, not_ours_because
from convergence_orchestration.launching.model import NO_WORKER
from convergence_orchestration.launching.paths import launch_paths
from convergence_orchestration.launching.records import RunRecords
from convergence_orchestration.launching.stopping import stop
from convergence_orchestration_tests.launching.builders import NOBODY, request


def instance_in(home: Path, config: str = "{}") -> DagsterInstance:
    (home / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\n"
        "run_launcher: {module: convergence_orchestration.launcher, class: ForkServerRunLauncher, "
        f"config: {config}}}\n"
    )
    return DagsterInstance.from_config(str(home))


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    with instance_in(tmp_path) as made:
        yield made


def run_of(
    instance: DagsterInstance, status: DagsterRunStatus = DagsterRunStatus.STARTED, **tags: str
) -> DagsterRun:
    run = DagsterRun(
        "job", make_new_run_id(), status=status, tags={key.replace("__", "/"): tags[key] for key in tags}
    )
    return instance.add_run(run)


def located(origin: CodeLocationOrigin, executable: str = sys.executable) -> DagsterRun:
    code = RepositoryPythonOrigin(executable, ModuleCodePointer("module", "defs", None), None, None, None)
    return DagsterRun(
        "job",
        job_code_origin=JobPythonOrigin("job", code),
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(origin, "__repository__"), "job"),
    )


MANAGED = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="module"), "tested")


def test_the_launcher_has_defaults_and_keeps_what_dagster_yaml_says(instance: DagsterInstance) -> None:
    launcher = instance.run_launcher

    assert isinstance(launcher, ForkServerRunLauncher)
    assert launcher.inst_data is not None
    assert launcher.supports_check_run_worker_health
    assert not launcher.supports_resume_run


def test_every_setting_is_described() -> None:
    assert all(field.description for field in ForkServerRunLauncher.config_type().values())


@pytest.mark.parametrize("setting", ["max_concurrent_workers", "termination_grace_seconds", "idle_minutes"])
def test_a_setting_below_one_is_refused_with_what_to_do(setting: str, tmp_path: Path) -> None:
    with (
        instance_in(tmp_path, f"{{{setting}: 0}}") as instance,
        pytest.raises(
            PermanentError, match=rf"Set run_launcher.config.{setting} in dagster.yaml to 1 or more"
        ),
    ):
        _ = instance.run_launcher


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    with instance_in(tmp_path, "{workers: 3}") as instance, pytest.raises(DagsterInvalidConfigError):
        _ = instance.run_launcher


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (located(MANAGED), ""),
        (located(GrpcServerCodeLocationOrigin(host="localhost", port=1)), ""),
        (located(GrpcServerCodeLocationOrigin(host="x", socket="/s")), ""),
        (
            located(GrpcServerCodeLocationOrigin(host="far", port=1)),
            "its code location is served by another machine (far)",
        ),
        (located(MANAGED, "/other/python"), "its code location has a Python of its own (/other/python)"),
        (DagsterRun("job"), "the run does not say where its code is"),
    ],
)
def test_only_runs_of_this_machine_s_python_are_forked(run: DagsterRun, reason: str) -> None:
    assert not_ours_because(run) == reason


def test_a_run_that_is_not_ours_goes_to_the_default_launcher(instance: DagsterInstance) -> None:
    run = run_of(instance, DagsterRunStatus.STARTING)

    with pytest.raises(DagsterInvariantViolationError, match="DefaultRunLauncher requires a workspace"):
        instance.run_launcher.launch_run(LaunchRunContext(run, None))

    [event] = instance.all_logs(run.run_id)
    assert event.message.endswith(
        "Launched by DefaultRunLauncher, in a fresh process: the run does not say where its code is."
    )


def test_where_forking_is_impossible_the_default_launcher_is_used(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(instance, DagsterRunStatus.STARTING)
    monkeypatch.delattr(os, "fork")

    with pytest.raises(DagsterInvariantViolationError, match="DefaultRunLauncher requires a workspace"):
        instance.run_launcher.launch_run(LaunchRunContext(run, None))

    assert "this system cannot fork processes" in instance.all_logs(run.run_id)[0].message


def test_a_server_that_does_not_answer_gets_no_second_chance_at_the_run(
    instance: DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    run = located(MANAGED)._replace(status=DagsterRunStatus.STARTING)
    instance.add_run(run)

    with pytest.raises(DagsterInvariantViolationError, match="DefaultRunLauncher requires a workspace"):
        instance.run_launcher.launch_run(LaunchRunContext(run, None))

    record = RunRecords(launch_paths(tmp_path).runs).worker(run.run_id)
    assert record is not None
    assert record.process == NO_WORKER, "no worker of a server can claim it any more"


def test_a_run_that_a_worker_has_is_not_launched_again(
    instance: DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    run = located(MANAGED)
    instance.add_run(run)
    paths = launch_paths(tmp_path)
    paths.make_directories()
    RunRecords(paths.runs).claim(run.run_id, NOBODY)

    instance.run_launcher.launch_run(LaunchRunContext(run, None))

    assert instance.all_logs(run.run_id) == []


def test_the_default_launcher_s_runs_are_left_to_their_code_server(instance: DagsterInstance) -> None:
    run = run_of(instance)
    instance.add_run_tags(run.run_id, {GRPC_INFO_TAG: '{"host": "localhost", "socket": "/none"}'})
    tagged = instance.get_run_by_id(run.run_id)
    assert tagged is not None

    assert instance.run_launcher.check_run_worker_health(tagged).status is WorkerStatus.RUNNING


def test_a_run_without_any_worker_is_not_healthy(instance: DagsterInstance) -> None:
    run = run_of(instance)

    health = instance.run_launcher.check_run_worker_health(run)

    assert health.status is WorkerStatus.FAILED
    assert health.msg == "No worker is on record for the run."
    failed = instance.get_run_by_id(run.run_id)
    assert failed is not None
    assert failed.status is DagsterRunStatus.FAILURE, "run monitoring leaves it at that"
    assert "workers.log" in (instance.run_launcher.get_run_worker_debug_info(run) or "")


def test_a_finished_or_unknown_run_is_not_terminated(instance: DagsterInstance) -> None:
    run = run_of(instance, DagsterRunStatus.SUCCESS)

    assert not instance.run_launcher.terminate(run.run_id)
    assert not instance.run_launcher.terminate(make_new_run_id())


def test_terminating_a_run_without_a_worker_cancels_it(instance: DagsterInstance, tmp_path: Path) -> None:
    run = run_of(instance)

    assert instance.run_launcher.terminate(run.run_id), instance.all_logs(run.run_id)[-1].message

    canceled = instance.get_run_by_id(run.run_id)
    assert canceled is not None
    assert canceled.status is DagsterRunStatus.CANCELED
    stop(tmp_path, grace=1)


def test_terminating_without_a_server_says_that_it_could_not(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    run = run_of(instance)

    assert not instance.run_launcher.terminate(run.run_id)

    assert "The worker cannot be interrupted" in instance.all_logs(run.run_id)[-1].message


def test_an_instance_that_cannot_resume_what_waits_is_usable_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    paths = launch_paths(tmp_path)
    paths.make_directories()
    RunRecords(paths.runs).accept(request())

    with instance_in(tmp_path) as instance:
        assert isinstance(instance.run_launcher, ForkServerRunLauncher)


def test_on_a_system_without_fork_nothing_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")

    with instance_in(tmp_path) as instance:
        assert isinstance(instance.run_launcher, ForkServerRunLauncher)
        assert not isinstance(instance.run_launcher, DefaultRunLauncher)
