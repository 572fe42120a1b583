"""The log files of the services: begun anew at each start, the last ones kept, their ends shown.

What belongs here: files of text lines. What is in them is each service's own business; `local_gcp/logging/` reads all of them.
"""

import os
from pathlib import Path
from typing import IO

from convergence_orchestration.launching.paths import launch_paths
from convergence_orchestration.local_gcp.front_door.directory import Directory
from convergence_orchestration.local_platform.directory import DataDirectory

KEPT = 3
"""Logs of so many earlier starts are kept, as .log.1 (the newest) and so on."""

_BLOCK_BYTES = 64 * 1024


def rotate(path: Path) -> None:
    """Move `path` to .1, .1 to .2 and so on; the oldest goes."""
    if not path.exists():
        return
    for number in range(KEPT, 1, -1):
        older, newer = _numbered(path, number), _numbered(path, number - 1)
        if newer.exists():
            newer.replace(older)
    path.replace(_numbered(path, 1))


def open_for_appending(path: Path) -> IO[bytes]:
    """The file, for a child process to write to; readable by nobody else."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")


def tail(path: Path, lines: int) -> list[str]:
    """The last `lines` lines; none if there is no such file."""
    if lines <= 0 or not path.exists():
        return []
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        end = b""
        while position > 0 and end.count(b"\n") <= lines:
            step = min(_BLOCK_BYTES, position)
            position = file.seek(position - step)
            end = file.read(step) + end
    return end.decode("utf-8", "replace").splitlines()[-lines:]


def further_logs(directory: DataDirectory) -> dict[str, Path]:
    """The logs of processes that are no services, by the names that they are asked for by."""
    launcher = launch_paths(directory.dagster_home)
    envoy = Directory(directory.local_gcp).envoy_log
    return {"launcher": launcher.log, "runs": launcher.workers_log, "envoy": envoy}


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
