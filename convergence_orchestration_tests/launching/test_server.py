"""The fork server's process, spoken to directly."""

import json
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest

from convergence_orchestration.errors import TransientError
from convergence_orchestration.launching.client import (
    ask,
    ask_or_start,
    impossible_because,
    is_running,
    resume,
    start_server,
    succeed,
)
from convergence_orchestration.launching.model import LaunchRequest, Limits, ProcessIdentity
from convergence_orchestration.launching.paths import LaunchPaths, launch_paths
from convergence_orchestration.launching.processes import is_alive, own_identity
from convergence_orchestration.launching.records import RunRecords
from convergence_orchestration.launching.stopping import Stopped, processes_of, stop
from convergence_orchestration_tests.launching.builders import NOBODY, request
from convergence_orchestration_tests.launching.dagster_processes import eventually


@pytest.fixture
def paths() -> Iterator[LaunchPaths]:
    with tempfile.TemporaryDirectory() as home:
        yield launch_paths(home)
        stop(Path(home), grace=1)


def server_of(paths: LaunchPaths) -> ProcessIdentity:
    return ProcessIdentity(**json.loads(paths.state.read_text())["server"])


def launch(paths: LaunchPaths, asked: LaunchRequest, **limits: float) -> dict[str, object]:
    paths.make_directories()
    RunRecords(paths.runs).accept(asked)
    return {
        "ask": "launch",
        "run_id": asked.run_id,
        "environment": dict(os.environ),
        "limits": asdict(Limits()) | limits,
        "was_reloaded": True,
    }


def test_whoever_starts_it_there_is_one_server(paths: LaunchPaths) -> None:
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda _: ask_or_start(paths, {"ask": "status"}), range(3)))

    assert {answer["pid"] for answer in answers} == {server_of(paths).pid}
    assert is_running(paths)


def test_a_server_ends_when_it_was_idle_for_long_enough(paths: LaunchPaths) -> None:
    impossible = request("a", executable="/nowhere/python")
    ask_or_start(paths, launch(paths, impossible, idle_seconds=0.2))
    server = server_of(paths)
    assert ask(paths, {"ask": "status"})["waiting"] == 1, "no process can be started, so it tries again"

    assert ask(paths, {"ask": "cancel", "run_id": "a", "grace": 1}) == {"outcome": "dequeued"}

    eventually(lambda: not is_alive(server), lambda: "the idle server lives on")
    assert not is_running(paths)


def test_a_server_whose_home_disappears_ends(paths: LaunchPaths) -> None:
    ask_or_start(paths, launch(paths, request("a", executable="/nowhere/python"), idle_seconds=0.2))
    server = server_of(paths)

    paths.directory.rename(paths.home / "elsewhere")

    eventually(lambda: not is_alive(server), lambda: "the server lives on")


def test_sigterm_ends_a_server(paths: LaunchPaths) -> None:
    start_server(paths)
    server = server_of(paths)

    os.kill(server.pid, signal.SIGTERM)

    eventually(lambda: not is_alive(server), lambda: "the server lives on")


def test_nonsense_and_silence_do_not_end_the_server(paths: LaunchPaths) -> None:
    start_server(paths)
    path = paths.socket()
    assert path is not None
    for nonsense in (b"nonsense\n", b"{}\n", b"[]\n", b'{"ask": "launch"}\n', b""):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(nonsense)

    assert ask(paths, {"ask": "status"})["pid"] == server_of(paths).pid


def test_without_a_server_there_is_no_answer(paths: LaunchPaths) -> None:
    with pytest.raises(TransientError, match="no fork server was started"):
        ask(paths, {"ask": "status"})


def test_a_killed_server_does_not_answer_and_the_next_takes_its_socket(paths: LaunchPaths) -> None:
    start_server(paths)
    os.kill(server_of(paths).pid, signal.SIGKILL)

    with pytest.raises(TransientError, match="does not answer"):
        eventually(lambda: not ask(paths, {"ask": "status"}), lambda: "the killed server answers")
    assert ask_or_start(paths, {"ask": "status"})["pid"] == server_of(paths).pid


def test_a_server_that_cannot_start_says_where_to_look(
    paths: LaunchPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "LOUD")

    with pytest.raises(TransientError, match=r"does not start, see .*server.log"):
        start_server(paths)

    assert "LOG_LEVEL is wrong" in paths.log.read_text()


def test_a_home_that_is_a_file_cannot_have_a_server(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")

    with pytest.raises(TransientError, match="does not start"):
        ask_or_start(launch_paths(tmp_path / "home"), {"ask": "status"})


def test_a_log_that_grew_large_is_put_aside(paths: LaunchPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convergence_orchestration.launching.paths._LARGEST_LOG", 3)
    paths.make_directories()
    paths.log.write_text("long")

    start_server(paths)

    assert paths.log.with_suffix(".log.1").read_text() == "long"


def test_a_server_starts_for_runs_that_wait_and_for_nothing_else(paths: LaunchPaths) -> None:
    paths.make_directories()
    assert not resume(paths)

    RunRecords(paths.runs).accept(request("a", executable="/nowhere/python"))
    assert resume(paths)
    assert ask(paths, {"ask": "status"})["waiting"] == 1
    assert not resume(paths)


def test_who_saw_the_server_end_starts_another_while_the_old_one_is_not_quite_gone(
    paths: LaunchPaths,
) -> None:
    paths.make_directories()
    dying = {"server": asdict(own_identity()), "socket": "/nowhere", "zygotes": []}
    paths.state.write_text(json.dumps(dying))
    assert not succeed(paths), "nothing waits"

    RunRecords(paths.runs).accept(request("a", executable="/nowhere/python"))
    assert not resume(paths)
    assert succeed(paths)
    assert ask(paths, {"ask": "status"})["waiting"] == 1


def test_a_server_that_says_it_is_outdated_is_replaced(paths: LaunchPaths) -> None:
    paths.make_directories()
    with socket.socket(socket.AF_UNIX) as outdated, ThreadPoolExecutor(1) as threads:
        outdated.bind(str(paths.new_socket()))
        outdated.listen()
        paths.state.write_text(json.dumps({"socket": str(paths.new_socket())}))

        def answer() -> None:
            connection, _ = outdated.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b'{"outdated": true}\n')

        threads.submit(answer)
        assert ask_or_start(paths, {"ask": "status"})["pid"] == server_of(paths).pid


def test_a_server_with_older_code_makes_room(paths: LaunchPaths) -> None:
    start_server(paths)
    before = server_of(paths)

    assert ask(paths, {"ask": "status", "code": "newer"}) == {"outdated": True}

    assert ask_or_start(paths, {"ask": "status"})["pid"] != before.pid
    eventually(lambda: not is_alive(before), lambda: "the old server stays")


def test_nobody_waits_for_ever_for_a_server_that_hangs(
    paths: LaunchPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convergence_orchestration.launching.client._ANSWER_SECONDS", 0.2)
    monkeypatch.setattr("convergence_orchestration.launching.client._START_SECONDS", 8)
    start_server(paths)
    os.kill(server_of(paths).pid, signal.SIGSTOP)

    with pytest.raises(TransientError, match="does not answer"):
        ask_or_start(paths, {"ask": "status"})
    os.kill(server_of(paths).pid, signal.SIGKILL)


def test_a_server_that_hangs_is_killed_by_stop(paths: LaunchPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convergence_orchestration.launching.client._ANSWER_SECONDS", 0.2)
    monkeypatch.setattr("convergence_orchestration.launching.stopping._BEYOND_GRACE_SECONDS", 1)
    start_server(paths)
    os.kill(server_of(paths).pid, signal.SIGSTOP)

    assert stop(paths.home, grace=0.1) == Stopped(ended=0, killed=1)
    assert processes_of(paths.home) == []


def test_there_is_nothing_to_stop_where_nothing_was_started(tmp_path: Path) -> None:
    assert stop(tmp_path) == Stopped(0, 0)


def test_an_ended_worker_on_record_is_no_process_to_stop(paths: LaunchPaths) -> None:
    paths.make_directories()
    RunRecords(paths.runs).claim("a", NOBODY)

    assert processes_of(paths.home) == []


@pytest.mark.parametrize(("module", "name"), [(os, "fork"), (socket, "AF_UNIX")])
def test_some_systems_cannot_have_a_fork_server(
    module: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert impossible_because() == ""

    monkeypatch.delattr(module, name)

    assert impossible_because().startswith("this system ")
