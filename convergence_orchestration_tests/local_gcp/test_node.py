"""The real processes, killed and started again, while a tiny image serves."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from google.api_core import exceptions
from google.cloud.run_v2 import Service, TrafficTarget
from google.cloud.secretmanager_v1 import Secret, SecretPayload

from convergence_orchestration.local_gcp.node import processes
from convergence_orchestration.local_gcp.node.ending import stop_instances
from convergence_orchestration.local_gcp.node.records import Instance, Records
from convergence_orchestration_tests.emulators import fresh_project_id
from convergence_orchestration_tests.local_gcp.local_run import (
    LocalRun,
    eventually,
    fetch,
    running,
    service_of,
    tiny_tree,
)

_IMAGE = "us-central1-docker.pkg.dev/platform/images/tiny:1"
_SECRET = "cvgadm_dev_not_to_be_found_in_any_file"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRun]:
    directory = tmp_path_factory.mktemp("run")
    with running(directory / "cloud") as run:
        run.build(tiny_tree(directory / "tree"), _IMAGE)
        yield run


@pytest.fixture
def run(shared: LocalRun) -> Iterator[LocalRun]:
    """The shared processes, for a test that gets a project of its own and leaves no service behind."""
    shared.project = fresh_project_id()
    yield shared
    for service in shared.services.list_services(parent=shared.location):
        shared.services.delete_service(name=service.name)
    eventually(lambda: not list(shared.services.list_services(parent=shared.location)))


def _port(run: LocalRun, service: Service) -> int:
    (port,) = eventually(lambda: run.ports(service.name, service.latest_ready_revision))
    return port


def _logs(run: LocalRun) -> str:
    return "".join(path.read_text() for path in (run.data_dir / "instance-logs").iterdir())


def test_a_revision_runs_its_image_with_variables_and_secrets_that_no_file_shows(run: LocalRun) -> None:
    secret = run.secrets.create_secret(
        parent=f"projects/{run.project}",
        secret_id="admin-key",
        secret=Secret({"replication": {"automatic": {}}}),
    )
    run.secrets.add_secret_version(parent=secret.name, payload=SecretPayload(data=_SECRET.encode()))
    reference = {"secret_key_ref": {"secret": "admin-key", "version": "1"}}
    env = [{"name": "PLAIN", "value": "text"}, {"name": "ADMIN_KEY", "value_source": reference}]

    service = run.create("api", _IMAGE, env=env)

    told = fetch(_port(run, service))
    assert told["color"] == "green"
    assert (told["PLAIN"], told["ADMIN_KEY"], told["PASSED_ON"]) == ("text", _SECRET, "by the node")
    assert (told["K_SERVICE"], told["K_REVISION"]) == (
        "api",
        service.latest_ready_revision.rpartition("/")[2],
    )
    assert "KEPT" not in told
    process = psutil.Process(told["pid"])
    assert _SECRET not in " ".join(process.cmdline())
    assert os.getsid(told["pid"]) == told["pid"]
    for path in run.data_dir.rglob("*"):
        assert not path.is_file() or _SECRET.encode() not in path.read_bytes()


def test_instances_serve_on_while_the_node_and_the_control_process_are_killed(run: LocalRun) -> None:
    service = run.create("api", _IMAGE)
    port = _port(run, service)
    pid = fetch(port)["pid"]

    run.kill("node")
    run.kill("control")
    assert fetch(port)["pid"] == pid
    run.start_control()
    run.start_node()

    assert run.ready(service.name) == service
    assert fetch(port)["pid"] == pid
    assert run.ports(service.name, service.latest_ready_revision) == [port]


def test_a_deployment_goes_on_where_the_killed_processes_left_it(run: LocalRun) -> None:
    service = run.create("api", _IMAGE)
    run.kill("node")
    service.template.labels["deployed"] = "again"
    operation = run.change(service, "template.labels")
    run.kill("control")
    run.start_control()
    assert run.services.get_service(name=service.name).reconciling

    run.start_node()

    deployed = run.ready(service.name)
    assert deployed.latest_ready_revision != service.latest_ready_revision
    assert run.services.get_operation({"name": operation.operation.name}).done
    eventually(lambda: not run.ports(service.name, service.latest_ready_revision))


def test_an_instance_that_dies_is_started_again(run: LocalRun) -> None:
    service = run.create("api", _IMAGE)
    port = _port(run, service)
    pid = fetch(port)["pid"]

    os.kill(pid, signal.SIGKILL)

    eventually(lambda: run.ports(service.name, service.latest_ready_revision) not in ([], [port]))
    assert fetch(_port(run, service))["pid"] != pid


def test_a_crash_loop_shows_in_the_conditions_and_the_traffic_stays(run: LocalRun) -> None:
    service = run.create("api", _IMAGE)
    revision = service.latest_ready_revision

    def unhealthy() -> str:
        for port in run.ports(service.name, revision):
            try:
                fetch(port, "/die")
            except OSError:
                continue
            except Exception:  # noqa: BLE001, S112 it dies before it has answered
                continue
        conditions = run.revisions.get_revision(name=revision).conditions
        return next((one.message for one in conditions if one.state.name == "CONDITION_FAILED"), "")

    message = eventually(unhealthy)

    assert "in a row" in message
    assert "status 3" in message
    assert run.ready(service.name).traffic_statuses == service.traffic_statuses


@pytest.mark.parametrize(
    ("env", "probe", "problem"),
    [
        ("exit", None, r"failed to start and listen on the port .* PORT=8080 .* It ended with status 7"),
        (
            "hang",
            {"period_seconds": 1, "failure_threshold": 1, "tcp_socket": {}},
            "It did not answer in time",
        ),
        (
            "",
            {"period_seconds": 1, "failure_threshold": 1, "http_get": {"path": "/never"}},
            "failed the configured startup probe",
        ),
    ],
)
def test_a_revision_that_never_starts_fails_and_leaves_the_one_before_alone(
    run: LocalRun, env: str, probe: dict[str, object] | None, problem: str
) -> None:
    service = run.create("api", _IMAGE)
    port = _port(run, service)
    asked = service_of(
        _IMAGE, env=[{"name": "START", "value": env}], **({"startup_probe": probe} if probe else {})
    )
    asked.name = service.name

    operation = run.change(asked, "template")
    run.settled(service.name)

    with pytest.raises(exceptions.FailedPrecondition, match=problem):
        operation.result()
    failed = run.services.get_service(name=service.name)
    assert failed.traffic_statuses == service.traffic_statuses
    assert fetch(port)["K_REVISION"] == service.latest_ready_revision.rpartition("/")[2]
    eventually(lambda: [one.port for one in Records(run.data_dir).read()] == [port])


def test_a_secret_that_is_not_there_fails_the_revision(run: LocalRun) -> None:
    env = [{"name": "KEY", "value_source": {"secret_key_ref": {"secret": "none", "version": "latest"}}}]
    operation = run.services.create_service(
        parent=run.location, service_id="api", service=service_of(_IMAGE, env=env)
    )
    service = run.settled(f"{run.location}/services/api")

    assert service.terminal_condition.reason.name == "SECRETS_ACCESS_CHECK_FAILED"
    with pytest.raises(exceptions.PermissionDenied, match=r"secrets/none/versions/latest was not found"):
        operation.result()  # type: ignore[no-untyped-call]


def test_traffic_counts_when_the_front_door_serves_it_and_instances_end_after_that(run: LocalRun) -> None:
    service = run.create("api", _IMAGE)
    first = service.latest_ready_revision.rpartition("/")[2]
    asked = Service(service)
    asked.template.revision = "api-two"
    asked.template.scaling.min_instance_count = 2
    asked.traffic = [
        TrafficTarget(revision=first, percent=100),
        TrafficTarget(revision="api-two", tag="green"),
    ]
    run.change(asked, "template", "traffic")
    tagged = run.ready(service.name)
    assert {status.tag for status in tagged.traffic_statuses} == {"", "green"}
    eventually(lambda: len(run.ports(service.name, "api-two")) == 2)

    run.is_confirming = False
    tagged.traffic = [TrafficTarget(revision="api-two", percent=100)]
    operation = run.change(tagged, "traffic")
    eventually(lambda: set(run.routed_revisions(service.name)) == {"api-two"})
    assert run.services.get_service(name=service.name).traffic_statuses == tagged.traffic_statuses
    assert not run.services.get_operation({"name": operation.operation.name}).done
    old = [one for one in Records(run.data_dir).read() if one.revision.endswith(first)]
    assert [one.terminated_at for one in old] == [None]  # requests may still reach it

    run.is_confirming = True
    moved = run.ready(service.name)
    assert {status.revision: status.percent for status in moved.traffic_statuses} == {"api-two": 100}
    assert moved.latest_ready_revision.endswith("api-two")
    eventually(lambda: not [one for one in Records(run.data_dir).read() if one.revision.endswith(first)])


def test_load_adds_instances(run: LocalRun) -> None:
    service = run.create(
        "api", _IMAGE, max_instance_request_concurrency=10, scaling={"max_instance_count": 3}
    )
    short = service.latest_ready_revision.rpartition("/")[2]

    run.in_flight = {short: 12.0}

    try:
        eventually(lambda: len(run.ports(service.name, short)) == 2)
    finally:
        run.in_flight = {}


def test_a_second_node_is_refused(run: LocalRun) -> None:
    command = [sys.executable, "-m", "convergence_orchestration.local_gcp.node"]
    ended = subprocess.run(
        [*command, "--data-dir", str(run.data_dir)], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith("Stop the other node first")


def test_an_api_that_answers_500_changes_nothing_that_runs(run: LocalRun) -> None:
    service = run.create("api", _IMAGE)
    run.faults_file.write_text("- {method: google.cloud.run.v2.*, code: 500}")
    try:
        with pytest.raises(exceptions.InternalServerError):
            run.services.get_service(name=service.name, retry=None)
        assert fetch(_port(run, service))["color"] == "green"
    finally:
        run.faults_file.unlink()


# without the processes


def _sleeper(
    data_dir: Path, identifier: str, *, ignoring: bool = False
) -> tuple[Instance, subprocess.Popen[bytes]]:
    """A process in a session of its own and what would be written down of it."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    program = processes.Program(
        [sys.executable, "-c", code if ignoring else "import time; print(1, flush=True); time.sleep(60)"],
        {processes.ID_VARIABLE: identifier},
        data_dir,
        data_dir / f"{identifier}.log",
        memory_bytes=2**32,
    )
    child = processes.start(program)
    eventually(program.log.read_text)
    now = datetime.now(UTC).timestamp()
    started = processes.started_at(child.pid)
    return Instance(identifier, "r", 1, now, now, 1.0, pid=child.pid, started_at=started), child


def test_a_process_is_found_by_its_variable_though_its_pid_was_never_written_down(tmp_path: Path) -> None:
    instance, child = _sleeper(tmp_path, "found-by-variable")
    try:
        assert processes.find("found-by-variable") == child.pid
        assert processes.find("none") is None
        assert processes.is_alive(instance)
    finally:
        processes.end(instance)
        assert child.wait() == -signal.SIGKILL
    assert not processes.is_alive(instance)
    assert processes.started_at(child.pid) is None


def test_a_pid_that_is_another_process_by_now_is_left_alone() -> None:
    other = Instance("x", "r", 1, 0.0, 0.0, 1.0, pid=os.getpid(), started_at=1.0)

    assert not processes.is_alive(other)
    processes.ask_to_end(other)
    processes.end(other)
    assert not processes.is_alive(Instance("x", "r", 1, 0.0, 0.0, 1.0))


def test_all_instances_are_ended_also_those_that_do_not_want_to(tmp_path: Path) -> None:
    records = Records(tmp_path)
    found = [_sleeper(tmp_path, "willing"), _sleeper(tmp_path, "unwilling", ignoring=True)]
    for instance, _ in found:
        records.write(instance)
    (tmp_path / "instances" / "broken.json").write_text("{")

    assert stop_instances(tmp_path, grace_seconds=0.3) == 2

    assert [child.wait() for _, child in found] == [-signal.SIGTERM, -signal.SIGKILL]
    assert not list(Records(tmp_path).read())
