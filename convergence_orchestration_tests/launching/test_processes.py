import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from convergence_orchestration.launching.processes import (
    ending_in_words,
    identity_of,
    is_alive,
    kill_with_its_group,
    own_identity,
    python_command,
    send,
)
from convergence_orchestration_tests.launching.builders import NOBODY


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child
        child.kill()


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_process_is_known_by_its_pid_and_start(
    sleeper: subprocess.Popen[bytes], platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)

    identity = identity_of(sleeper.pid)

    assert identity is not None
    assert is_alive(identity)
    assert not is_alive(replace(identity, started="at another time")), "another process got the pid"


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_zombie_and_nobody_are_not_alive(
    sleeper: subprocess.Popen[bytes], platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)

    assert identity_of(sleeper.pid) is None
    assert identity_of(NOBODY.pid) is None


def test_signals_reach_exactly_the_process(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identity_of(sleeper.pid)
    assert identity is not None

    assert not send(replace(identity, started="at another time"), signal.SIGKILL)
    kill_with_its_group(replace(identity, started="at another time"))
    assert sleeper.poll() is None

    assert send(identity, signal.SIGTERM)
    assert sleeper.wait() == -signal.SIGTERM
    assert not send(identity, signal.SIGTERM)


def test_the_group_of_a_leader_dies_with_it() -> None:
    command = ["sh", "-c", "sleep 60 & echo $!; wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, text=True) as child:
        assert child.stdout is not None
        inner = identity_of(int(child.stdout.readline()))
        leader = identity_of(child.pid)
        assert inner is not None
        assert leader is not None

        kill_with_its_group(leader)

        assert child.wait() == -signal.SIGKILL
        assert child.stdout.read() == "", "the pipe closes when the last of the group is gone"


def test_a_process_in_a_foreign_group_dies_alone(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identity_of(sleeper.pid)
    assert identity is not None

    kill_with_its_group(identity)

    assert sleeper.wait() == -signal.SIGKILL
    assert is_alive(own_identity())


def test_children_import_from_where_their_parent_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for is_safe, flag in ((True, ["-P"]), (False, [])):
        monkeypatch.setattr(sys, "flags", SimpleNamespace(safe_path=is_safe))

        assert python_command("python", "cold", "/home") == [
            *("python", *flag, "-m", "convergence_orchestration.launching.cold", "/home")
        ]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (3, "ended with exit code 3"),
        (-15, "was ended by signal 15, SIGTERM"),
        (-9, "was ended by signal 9, SIGKILL (out of memory, or killed by hand)"),
        (-500, "was ended by signal 500"),
    ],
)
def test_how_a_process_ended_in_words(status: int, words: str) -> None:
    assert ending_in_words(status) == words
