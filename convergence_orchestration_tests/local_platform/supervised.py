"""A platform of tiny services whose supervisor is a process of its own, so that a test can kill it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from convergence_orchestration.local_platform import processes, record
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.model import PlatformRecord, PlatformState
from convergence_orchestration_tests.local_platform.builders import a_directory, a_record, wait_until

SERVICES_AND_A_GRANDCHILD = 3


class SupervisedPlatform:
    """Running, with every process there."""

    def __init__(self, directory: DataDirectory) -> None:
        self.directory = directory
        record.write(directory, a_record(variables={"gcp_project_id": "a-project"}))
        supervise = Path(__file__).with_name("supervise.py")
        self.supervisor = subprocess.Popen(
            [sys.executable, supervise, directory.path], start_new_session=True
        )
        wait_until(lambda: self.record.state is PlatformState.RUNNING)
        wait_until(lambda: len(self.members()) == 1 + SERVICES_AND_A_GRANDCHILD)

    @property
    def record(self) -> PlatformRecord:
        platform = record.read(self.directory)
        assert platform is not None
        return platform

    def members(self) -> list[psutil.Process]:
        return processes.members(self.record)

    def kill_supervisor(self) -> None:
        self.supervisor.kill()
        self.supervisor.wait()


@contextmanager
def running_supervised(path: Path) -> Iterator[SupervisedPlatform]:
    platform = SupervisedPlatform(a_directory(path))
    try:
        yield platform
    finally:
        processes.end(platform.members(), grace=0)
        platform.supervisor.wait()
