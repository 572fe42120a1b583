import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.local_platform import record
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.health import look
from convergence_orchestration.local_platform.model import PlatformState
from convergence_orchestration.local_platform.running import NothingRuns, running_platform
from convergence_orchestration.local_platform.stop import stop
from convergence_orchestration_tests.local_platform.builders import a_directory, a_record
from convergence_orchestration_tests.local_platform.supervised import (
    SERVICES_AND_A_GRANDCHILD,
    SupervisedPlatform,
    running_supervised,
)


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[SupervisedPlatform]:
    with running_supervised(tmp_path / "a directory") as platform:
        yield platform


@pytest.fixture
def bystander() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that looks just as ours do, and is not."""
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
    ) as process:
        yield process
        process.kill()


def test_a_platform_is_stopped_through_its_supervisor(supervised: SupervisedPlatform) -> None:
    stopped = stop(supervised.directory)

    assert stopped.had_supervisor
    assert stopped.orphans == 0
    assert supervised.members() == []
    assert supervised.record.state is PlatformState.STOPPED


def test_exactly_the_orphans_of_a_killed_supervisor_are_ended(
    supervised: SupervisedPlatform, bystander: "subprocess.Popen[bytes]"
) -> None:
    supervised.kill_supervisor()
    assert len(supervised.members()) == SERVICES_AND_A_GRANDCHILD

    stopped = stop(supervised.directory)

    assert not stopped.had_supervisor
    assert stopped.orphans == SERVICES_AND_A_GRANDCHILD
    assert stopped.anything
    assert supervised.members() == []
    assert bystander.poll() is None
    assert not stop(supervised.directory).anything


def test_a_supervisor_that_does_not_answer_is_ended_with_the_rest(supervised: SupervisedPlatform) -> None:
    os.kill(supervised.supervisor.pid, signal.SIGSTOP)

    stopped = stop(supervised.directory, patience=0.3, grace=0.3)

    assert stopped.had_supervisor
    assert supervised.members() == []


def test_a_restarted_service_is_seen_by_everyone(supervised: SupervisedPlatform) -> None:
    platform = running_platform(supervised.directory)
    assert platform.state is PlatformState.RUNNING

    health = look(supervised.directory)

    assert not health.is_down
    assert not health.healthy
    assert health.services["supervisor"].healthy
    assert health.services["bigquery"].pid is not None
    assert "nothing listens on port" in health.services["bigquery"].detail
    assert health.services["api"].pid is None, "it has no instance"
    assert "nothing listens on port" in health.services["api"].detail
    assert health.services["webserver"].detail == "its process is not there"


def test_a_missing_supervisor_is_told(supervised: SupervisedPlatform) -> None:
    supervised.kill_supervisor()

    supervisor = look(supervised.directory).services["supervisor"]

    assert not supervisor.healthy
    assert "convergence down" in supervisor.detail


def test_where_nothing_runs_there_is_nothing_to_stop(tmp_path: Path) -> None:
    directory = a_directory(tmp_path)
    assert not stop(directory).anything

    record.write(directory, a_record())

    assert not stop(directory).anything
    assert look(directory).is_down
    assert look(directory).api_url == "http://127.0.0.1:8000"
    with pytest.raises(NothingRuns, match=f"Nothing runs in {directory.path}: start it with convergence up"):
        running_platform(directory)


def test_a_directory_that_was_never_used_is_down(tmp_path: Path) -> None:
    health = look(DataDirectory.at(tmp_path / "nowhere"))

    assert health.is_down
    assert health.as_json() == {
        "api_url": None,
        "dagster_url": None,
        "bigquery_url": None,
        "local_gcp_address": None,
        "data_dir": str(tmp_path / "nowhere"),
        "healthy": False,
        "services": {},
        "instances": (),
    }


def test_a_start_that_has_only_just_begun_is_told(tmp_path: Path) -> None:
    directory = a_directory(tmp_path)
    record.write(directory, a_record())
    lock = directory.lock()
    assert lock is not None

    with pytest.raises(TransientError, match="just being started") as refused:
        stop(directory, patience=0.3)

    assert refused.value.code is ErrorCode.UNAVAILABLE
    os.close(lock)
