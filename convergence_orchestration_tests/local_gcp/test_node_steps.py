"""The node inside of the test's own process, step by step on a clock that the test sets."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from google.cloud.run_v2 import Revision
from google.cloud.secretmanager_v1 import SecretPayload

from convergence_orchestration.local_gcp import images
from convergence_orchestration.local_gcp.front_door_contract import FrontDoorStatus, read_routes, write_status
from convergence_orchestration.local_gcp.node import __main__ as node_process
from convergence_orchestration.local_gcp.node import processes
from convergence_orchestration.local_gcp.node.crew import Crew
from convergence_orchestration.local_gcp.node.ending import stop_instances
from convergence_orchestration.local_gcp.node.node import Node
from convergence_orchestration.local_gcp.node.processes import ID_VARIABLE, Program
from convergence_orchestration.local_gcp.node.programs import CannotRunError, Surroundings, program_for
from convergence_orchestration.local_gcp.node.records import Records
from convergence_orchestration.local_gcp.store import Store
from convergence_orchestration_tests.local_gcp.clouds import Cloud
from convergence_orchestration_tests.local_gcp.control_planes import DIGEST, IMAGE, ControlPlane, keep_image
from convergence_orchestration_tests.local_gcp.local_run import eventually

_LISTEN = "import os, socket, time; s = socket.create_server(('127.0.0.1', int(os.environ['PORT']))); time.sleep(60)"


@contextmanager
def _node(plane: ControlPlane) -> Iterator[Node]:
    images.root_of(plane.data_dir, DIGEST).mkdir(exist_ok=True)
    node = Node(plane.store, plane.data_dir, Surroundings({}), plane.clock)
    try:
        yield node
    finally:
        started = [instance.pid for instance in Records(plane.data_dir).read() if instance.pid]
        stop_instances(plane.data_dir)
        eventually(lambda: all(map(_has_ended, started)))  # so that the node sees it when it is closed
        node.close()


def _has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _revision(**container: object) -> Revision:
    return Revision(
        name="projects/platform/locations/us-central1/services/api/revisions/api-1",
        service="api",
        timeout=timedelta(seconds=60),
        containers=[{"image": f"a/b@{DIGEST}", "command": ["python"], **container}],
    )


def _program(store: Store, data_dir: Path, revision: Revision, *, limited: bool = False) -> Program:
    with store.reading() as rows:
        return program_for(rows, revision, data_dir, Surroundings({"A": "machine"}, limited), "id", 8080)


# what an instance runs


def test_a_command_replaces_the_images_and_arguments_alone_are_added(plane: ControlPlane) -> None:
    manifest = images.read_manifest(plane.data_dir, DIGEST)
    assert manifest is not None
    images.write_manifest(
        images.directory_of(plane.data_dir, DIGEST), replace(manifest, command=("python", "-m", "x"))
    )

    def command(**container: object) -> tuple[str, ...]:
        return tuple(_program(plane.store, plane.data_dir, _revision(**container)).command)

    assert command(command=[]) == ("python", "-m", "x")
    assert command(command=[], args=["--fast"]) == ("python", "-m", "x", "--fast")
    assert command(command=["sh"], args=["-c"]) == ("sh", "-c")


@pytest.mark.parametrize(
    ("memory", "expected"),
    [("512Mi", 2**29), ("4Gi", 2**32), ("1G", 10**9), ("1000", 1000), ("much", None), ("", None)],
)
def test_memory_is_limited_only_where_that_is_asked_for(
    plane: ControlPlane, memory: str, expected: int | None
) -> None:
    revision = _revision(resources={"limits": {"memory": memory}})

    assert _program(plane.store, plane.data_dir, revision, limited=True).memory_bytes == expected
    assert _program(plane.store, plane.data_dir, revision).memory_bytes is None


def test_variables_of_the_revision_go_before_those_of_the_machine(plane: ControlPlane) -> None:
    program = _program(plane.store, plane.data_dir, _revision(env=[{"name": "A", "value": "revision"}]))

    assert program.environment["A"] == "revision"
    assert program.environment["PYTHONPATH"] == str(images.root_of(plane.data_dir, DIGEST))
    assert program.environment[ID_VARIABLE] == "id"


@pytest.mark.parametrize(
    ("container", "problem"),
    [
        ({"image": "a/b@sha256:0"}, "Image 'a/b@sha256:0' not found"),
        ({"command": []}, "nothing says what to run"),
    ],
)
def test_a_revision_that_cannot_run_says_why(
    plane: ControlPlane, container: dict[str, object], problem: str
) -> None:
    with pytest.raises(CannotRunError, match=problem):
        _program(plane.store, plane.data_dir, _revision(**container))


def test_a_secret_that_cannot_be_read_is_named_and_not_shown(cloud: Cloud) -> None:
    store = Store(cloud.data_dir)
    keep_image(cloud.data_dir, store)
    secret = cloud.secret()
    cloud.add(secret, b"\xff\xfe")
    disabled = cloud.add(secret, b"hidden")
    cloud.secrets.disable_secret_version(name=disabled)
    readable = cloud.secrets.add_secret_version(parent=secret, payload=SecretPayload(data=b"text")).name

    def value(version: str) -> str:
        reference = {"secret_key_ref": {"secret": secret, "version": version}}
        revision = _revision(env=[{"name": "KEY", "value_source": reference}])
        return _program(store, cloud.data_dir, revision).environment["KEY"]

    assert value("latest") == value(readable.rpartition("/")[2]) == "text"
    for version, problem in (("1", "is no text"), ("2", "is in DISABLED state"), ("9", "was not found")):
        with pytest.raises(CannotRunError, match=problem) as refused:
            value(version)
        assert refused.value.is_about_secrets
        assert "hidden" not in refused.value.message
    store.close()


# steps


def test_a_program_that_is_not_there_fails_the_revision_after_three_tries(plane: ControlPlane) -> None:
    service = plane.ask(containers=[{"image": IMAGE, "command": ["no-such-program"]}])

    with _node(plane) as node:
        for _ in range(4):
            node.step()
            plane.clock.advance(timedelta(seconds=1))

    failed = plane.read(service.name)
    assert failed.terminal_condition.message.endswith("Its command cannot be run: No such file or directory.")
    assert not list(Records(plane.data_dir).read())


def test_an_image_without_a_command_fails_the_revision_at_once(plane: ControlPlane) -> None:
    service = plane.ask()

    with _node(plane) as node:
        node.step()

    assert "nothing says what to run" in plane.read(service.name).terminal_condition.message


def test_a_version_that_the_front_door_knows_is_never_given_out_again(plane: ControlPlane) -> None:
    service = plane.ask(containers=[{"image": IMAGE, "command": ["python", "-c", _LISTEN]}])
    write_status(plane.data_dir, FrontDoorStatus(9))

    def routes_are_written() -> bool:
        node.step()
        return bool(read_routes(plane.data_dir).services)

    with _node(plane) as node:
        eventually(routes_are_written)
        assert read_routes(plane.data_dir).version == 10
        node.step()
        assert plane.read(service.name).reconciling
        write_status(plane.data_dir, FrontDoorStatus(10))
        node.step()
        assert not plane.read(service.name).reconciling


@pytest.mark.parametrize("nonsense", ["{", "[]", "7"])
def test_files_of_nonsense_do_not_stop_the_node(plane: ControlPlane, nonsense: str) -> None:
    service = plane.ask(containers=[{"image": IMAGE, "command": ["python", "-c", _LISTEN]}])
    (plane.data_dir / "front_door.json").write_text(nonsense)
    (plane.data_dir / "front_door_status.json").write_text(nonsense)

    def is_ready() -> bool:
        node.step()
        return not plane.revisions.get_revision(name=service.latest_created_revision).reconciling

    with _node(plane) as node:
        eventually(is_ready)
        node.step()
        assert read_routes(plane.data_dir).version == 1


# taking over


def _start(crew: Crew, directory: Path) -> None:
    def program(identifier: str, port: int) -> Program:
        variables = {ID_VARIABLE: identifier, "PORT": str(port)}
        return Program([sys.executable, "-c", _LISTEN], variables, directory, directory / "log")

    crew.start(
        _revision(startup_probe={"tcp_socket": {}, "period_seconds": 10, "failure_threshold": 1}),
        program,
        0.0,
    )


def test_an_instance_whose_pid_was_never_written_down_is_taken_over(tmp_path: Path) -> None:
    first = Crew(tmp_path)
    _start(first, tmp_path)
    (instance,) = first.instances
    records = Records(tmp_path)
    records.write(replace(instance, pid=None, started_at=None))  # killed between start and record
    eventually(lambda: processes.find(instance.id))

    second = Crew(tmp_path)

    try:
        assert second.instances == [instance]
        assert second.failures(1.0) == []
        processes.end(instance)
        eventually(lambda: [failure.problem for failure in second.failures(1.0)] == ["It ended."])
        assert not list(records.read())
    finally:
        processes.end(instance)
        first.close()
        second.close()


def test_an_instance_that_was_never_started_is_forgotten(tmp_path: Path) -> None:
    crew = Crew(tmp_path)
    _start(crew, tmp_path)
    (instance,) = crew.instances
    processes.end(instance)
    eventually(lambda: crew.failures(1.0))
    Records(tmp_path).write(replace(instance, pid=None, started_at=None))

    assert Crew(tmp_path).instances == []
    assert not list(Records(tmp_path).read())


def test_one_that_does_not_end_when_asked_is_ended_after_the_grace(tmp_path: Path) -> None:
    crew = Crew(tmp_path)
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    crew.start(
        _revision(startup_probe={"tcp_socket": {}}),
        lambda _id, _port: Program([sys.executable, "-c", stubborn], {}, tmp_path, tmp_path / "log"),
        0.0,
    )
    eventually((tmp_path / "log").read_text)

    crew.drain(crew.instances, 1.0)
    crew.leave_out(1, ())
    crew.end_drained(0, lambda _: None, 1.0)
    crew.end_drained(0, lambda _: None, 10.9)
    assert processes.is_alive(crew.instances[0])
    crew.end_drained(0, lambda _: None, 11.0)

    eventually(lambda: crew.failures(11.0) == [] and not crew.instances)
    crew.close()


# the process


def test_a_health_port_that_is_taken_is_named(plane: ControlPlane) -> None:
    with pytest.raises(SystemExit, match=f"Choose another --health-port: {plane.ports.rest}"):
        node_process._serve_health(plane.ports.rest, node_process._Beat())  # noqa: SLF001 the rest is a process
