"""Stopping everything that a Dagster home's fork server ever started: for `convergence down`.

To be called after the web server and the daemon have ended: they would start it again for the next run.
"""

import json
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from convergence_orchestration.errors import TransientError
from convergence_orchestration.launching.client import ask
from convergence_orchestration.launching.model import ProcessIdentity
from convergence_orchestration.launching.paths import LaunchPaths, launch_paths
from convergence_orchestration.launching.processes import is_alive, kill_with_its_group, send
from convergence_orchestration.launching.records import RunRecords

_BEYOND_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class Stopped:
    """What was stopped: processes that ended when asked, and those that had to be killed."""

    ended: int
    killed: int


def processes_of(home: Path) -> list[ProcessIdentity]:
    """Every living process of the home's fork server: zygotes, then the server, then workers.

    In this order they are killed where they do not end: a zygote that sees its server die would start another.
    """
    paths = launch_paths(home)
    workers = [record.process for record in RunRecords(paths.runs).workers()]
    return [process for process in (*_of_the_server(paths), *workers) if is_alive(process)]


def stop(home: Path, grace: float = 10.0) -> Stopped:
    """Interrupt the runs, end the server, and kill after `grace` seconds whatever is left. Runs that wait stay on disk."""
    before = processes_of(home)
    if not before:
        return Stopped(0, 0)
    try:
        ask(launch_paths(home), {"ask": "stop", "grace": grace})
    except TransientError:
        for process in before:
            send(process, signal.SIGTERM)
    left = _wait(before, grace + _BEYOND_GRACE_SECONDS)
    for process in left:
        kill_with_its_group(process)
    _wait(left, _BEYOND_GRACE_SECONDS)
    return Stopped(len(before) - len(left), len(left))


def _of_the_server(paths: LaunchPaths) -> list[ProcessIdentity]:
    try:
        state = json.loads(paths.state.read_text())
        return [ProcessIdentity(**fields) for fields in (*state["zygotes"], state["server"])]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _wait(processes: Iterable[ProcessIdentity], seconds: float) -> list[ProcessIdentity]:
    """Those that still live when the time is over."""
    deadline = time.monotonic() + seconds
    left = [process for process in processes if is_alive(process)]
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [process for process in left if is_alive(process)]
    return left
