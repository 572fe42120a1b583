"""Requests and records with defaults for what a test does not care about."""

import sys
from pathlib import Path

from convergence_orchestration.launching.model import CodeLocation, LaunchRequest, ProcessIdentity
from convergence_orchestration.launching.records import RunRecords

NOBODY = ProcessIdentity(pid=2**22 + 1, started="never")
"""A process that there is not: Linux gives out no pid as high."""


def request(run_id: str = "run-1", accepted_at: int = 1, executable: str = sys.executable) -> LaunchRequest:
    location = CodeLocation("tested", executable, origin="{}", working_directory="/")
    return LaunchRequest(run_id, "job", location, instance_ref="{}", accepted_at=accepted_at)


def records_in(directory: Path) -> RunRecords:
    runs = directory / "runs"
    runs.mkdir()
    return RunRecords(runs)
