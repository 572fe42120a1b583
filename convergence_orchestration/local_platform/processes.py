"""Which processes are a platform's, and how they are ended.

What belongs here: finding and ending processes that this platform started, and no other. A process is ours if it is one
that was recorded (process id and start time), descends from one or shares its session, or carries the platform's id in
its environment, as every child of ours does and hands on. So run workers are found whose parents are long dead.
"""

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator

import psutil

from convergence_orchestration.local_platform.model import PlatformRecord, ProcessIdentity

PLATFORM_ID_VARIABLE = "CONVERGENCE_PLATFORM_ID"
_SAME_START_SECONDS = 1.0  # clocks are adjusted, and the kernel's start times with them


def identity_of(pid: int) -> ProcessIdentity:
    """The identity of a process that is alive now.

    Raises:
        psutil.NoSuchProcess: it is not.
    """
    return ProcessIdentity(pid=pid, created=psutil.Process(pid).create_time())


def alive(identity: ProcessIdentity | None) -> psutil.Process | None:
    """The process of that identity, None if it has ended, whoever has its process id now."""
    if identity is None:
        return None
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(identity.pid)
        is_same = abs(process.create_time() - identity.created) < _SAME_START_SECONDS
        if is_same and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def members(record: PlatformRecord) -> list[psutil.Process]:
    """Every living process of the platform, its supervisor included, except the one that asks."""
    identities = [record.supervisor, *(service.identity for service in record.services.values())]
    roots = [process for identity in identities if (process := alive(identity))]
    found = {process.pid: process for process in _related(roots, record.platform_id)}
    found.pop(os.getpid(), None)
    return list(found.values())


def end(processes: Iterable[psutil.Process], grace: float) -> int:
    """End processes: SIGTERM, and SIGKILL for those that are still there after `grace` seconds; how many there were."""
    ours = list(processes)
    _signal(ours, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(ours, timeout=grace)
    _signal(stubborn, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=5)
    return len(ours)


def descendants(pids: Iterable[int]) -> frozenset[int]:
    """Whatever descends from these processes and lives, by process id."""
    found: set[int] = set()
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            found.update(process.pid for process in psutil.Process(pid).children(recursive=True))
    return frozenset(found)


def session(pid: int) -> int | None:
    """The session that a process is in, None if there is no such process."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _related(roots: list[psutil.Process], platform_id: str) -> Iterator[psutil.Process]:
    yield from roots
    leaders = {process.pid for process in roots if session(process.pid) == process.pid}
    for process in roots:
        with contextlib.suppress(psutil.Error):
            yield from process.children(recursive=True)
    for process in psutil.process_iter():
        if session(process.pid) in leaders or _carries(process, platform_id):
            yield process


def _carries(process: psutil.Process, platform_id: str) -> bool:
    try:
        is_marked = process.environ().get(PLATFORM_ID_VARIABLE) == platform_id
        return is_marked and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):  # another user's, or it has just ended
        return False


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)  # checks that the process id was not taken over
