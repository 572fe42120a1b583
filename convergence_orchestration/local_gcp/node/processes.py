"""Processes of instances: starting, finding, asking and ending them.

What belongs here: the operating system. When to do it is decided in `plan.py`.
"""

import contextlib
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from convergence_orchestration.local_gcp.node.records import Instance

ID_VARIABLE = "CONVERGENCE_INSTANCE_ID"
_SAME_START_SECONDS = 1.0
_TRIES = 50


@dataclass(frozen=True)
class Program:
    """What an instance runs: words, variables and directory, and how many bytes of memory it may map (None: any)."""

    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    log: Path
    memory_bytes: int | None = None


def start(program: Program) -> subprocess.Popen[bytes]:
    """The running program, in a session of its own.

    Raises:
        OSError: it cannot be run.
    """
    with program.log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603 the image's own command is what shall run
            list(program.command),
            env=dict(program.environment),
            cwd=program.directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    if program.memory_bytes is not None:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(child.pid, resource.RLIMIT_AS, (program.memory_bytes, program.memory_bytes))
    return child


def started_at(pid: int) -> float | None:
    """When this process began; None if there is none."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def is_alive(instance: Instance) -> bool:
    """The process that was written down, and no other with its pid, still runs."""
    if instance.pid is None or instance.started_at is None:
        return False
    try:
        process = psutil.Process(instance.pid)
        is_same = abs(process.create_time() - instance.started_at) < _SAME_START_SECONDS
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def find(instance_id: str) -> int | None:
    """The session leader that was started as this instance, if its pid was never written down."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            is_leader = os.getsid(process.pid) == process.pid
            if is_leader and process.environ().get(ID_VARIABLE) == instance_id:
                return int(process.pid)
    return None


def ask_to_end(instance: Instance) -> None:
    """SIGTERM for the instance's first process, as Cloud Run does."""
    if instance.pid is not None and is_alive(instance):
        with contextlib.suppress(ProcessLookupError):
            os.kill(instance.pid, signal.SIGTERM)


def end(instance: Instance) -> None:
    """SIGKILL for all processes of the instance."""
    if instance.pid is not None and is_alive(instance):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(instance.pid, signal.SIGKILL)


def end_rest(instance: Instance) -> None:
    """SIGKILL for what is left of an instance whose first process, a child of this one, has just ended."""
    if instance.pid is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(instance.pid, signal.SIGKILL)


def free_port(taken: Collection[int]) -> int:
    """A port of 127.0.0.1 that nobody listens on and that is not promised to an instance."""
    for _ in range(_TRIES):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port
    raise OSError("no free port")
