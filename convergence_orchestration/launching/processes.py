"""Processes beyond doubt: who a pid is, whether it still lives, and signals that cannot hit another."""

import os
import signal
import sys
from functools import cache
from pathlib import Path

import psutil

from convergence_orchestration.launching.model import ProcessIdentity

_STATE, _STARTED = 0, 19
"""Fields of /proc/PID/stat counted behind the closing bracket of the command's name."""


def python_command(executable: str, module: str, *arguments: str) -> list[str]:
    """How to run a module of this package; what this process does not import from, its children do not either."""
    return [executable, *(["-P"] if sys.flags.safe_path else []), "-m", f"{__package__}.{module}", *arguments]


def identity_of(pid: int) -> ProcessIdentity | None:
    """Who lives under this pid now; None for nobody, and for a zombie, which will never do anything again."""
    started = _started_on_linux(pid) if sys.platform == "linux" else _started_elsewhere(pid)
    return ProcessIdentity(pid, started) if started else None


def own_identity() -> ProcessIdentity:
    """Who this process is."""
    identity = identity_of(os.getpid())
    if identity is None:
        raise RuntimeError("This process does not find itself in the table of processes.")
    return identity


def is_alive(process: ProcessIdentity) -> bool:
    """Whether exactly this process still runs."""
    return identity_of(process.pid) == process


def send(process: ProcessIdentity, number: signal.Signals) -> bool:
    """Signal this process; False if it is gone."""
    if not is_alive(process):
        return False
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def kill_with_its_group(process: ProcessIdentity) -> None:
    """SIGKILL for a process and, where it leads a group, for all whom it started in there."""
    if not is_alive(process):
        return
    try:
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def ending_in_words(status: int) -> str:
    """A subprocess's return code (negative: the signal) for people."""
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        return f"was ended by signal {-status}"
    hint = " (out of memory, or killed by hand)" if -status == signal.SIGKILL else ""
    return f"was ended by signal {-status}, {name}{hint}"


def _started_on_linux(pid: int) -> str:
    """The boot and the clock tick of the start: unlike the time of day these never change."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[_STATE] in "ZX" else f"{_boot()}:{fields[_STARTED]}"


@cache
def _boot() -> str:
    """The boot and the pid namespace we are in, so that another container's pids are not taken for ours."""
    namespace = Path("/proc/self/ns/pid").readlink()
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{namespace}"


def _started_elsewhere(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.Error:
        return ""
