import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from convergence_orchestration.local_gcp.node.processes import started_at
from convergence_orchestration.local_gcp.node.records import Instance, Records
from convergence_orchestration.local_platform import cloud_run
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration_tests.local_platform.builders import SLEEP, a_directory

REVISION = "projects/p/locations/l/services/api/revisions/api-00001-abc"


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return a_directory(tmp_path / "a directory")


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True) as process:
        yield process
        process.kill()


def write_down(directory: DataDirectory, pid: int | None, **fields: float) -> None:
    instance = Instance(
        id=f"id-{pid}",
        revision=REVISION,
        port=4000,
        created_at=0,
        deadline=0,
        timeout_seconds=1,
        pid=pid,
        started_at=started_at(pid) if pid else None,
        **fields,  # type: ignore[arg-type]
    )
    Records(directory.local_gcp).write(instance)


@pytest.mark.parametrize(
    ("fields", "state"),
    [({}, "starting"), ({"ready_at": 1.0}, "serving"), ({"ready_at": 1.0, "draining_at": 2.0}, "ending")],
)
def test_living_instances_are_told_with_revision_pid_and_port(
    directory: DataDirectory, process: "subprocess.Popen[bytes]", fields: dict[str, float], state: str
) -> None:
    write_down(directory, process.pid, **fields)
    write_down(directory, None)  # being started

    assert cloud_run.instances(directory) == (
        cloud_run.RunningInstance("api-00001-abc", process.pid, 4000, state),
    )


def test_a_directory_that_was_never_used_has_no_instances(tmp_path: Path) -> None:
    directory = DataDirectory.at(tmp_path / "nowhere")

    assert cloud_run.instances(directory) == ()
    assert cloud_run.instance_logs(directory) == {}
    assert cloud_run.envoy_sessions(directory) == frozenset()
    assert not directory.path.exists()


def test_instances_are_ended_with_the_platform(
    directory: DataDirectory, process: "subprocess.Popen[bytes]"
) -> None:
    write_down(directory, process.pid, ready_at=1.0)

    cloud_run.end_instances(directory, grace=0)

    assert process.wait() in {-signal.SIGTERM, -signal.SIGKILL}
    assert cloud_run.instances(directory) == ()


def test_the_logs_of_revisions_are_found_by_their_names(directory: DataDirectory) -> None:
    logs = directory.local_gcp / "instance-logs"
    logs.mkdir()
    (logs / "api-00001-abc.log").touch()

    assert cloud_run.instance_logs(directory) == {"api-00001-abc": logs / "api-00001-abc.log"}


@pytest.mark.parametrize(("written", "sessions"), [({"pid": 7}, {7}), ({}, set()), ([], set())])
def test_envoys_session_is_the_one_that_the_front_door_wrote_down(
    directory: DataDirectory, written: object, sessions: set[int]
) -> None:
    record = directory.local_gcp / "front_door" / "envoy.pid.json"
    record.parent.mkdir()
    record.write_text(json.dumps(written))

    assert cloud_run.envoy_sessions(directory) == sessions
