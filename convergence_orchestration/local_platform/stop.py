"""Stopping a platform from anywhere: through its supervisor if that is alive, else process by process.

What belongs here: `convergence down`.
"""

import contextlib
import signal
import time
from dataclasses import dataclass, replace

import psutil

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.local_platform import leftovers, processes, record
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.model import PlatformRecord, PlatformState

_PATIENCE_SECONDS = 60.0
_GRACE_SECONDS = 10.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Stopped:
    """What was there to stop.

    Attributes:
        had_supervisor: a supervisor was alive and stopped the services.
        orphans: processes without a supervisor that were ended one by one.
    """

    had_supervisor: bool
    orphans: int

    @property
    def anything(self) -> bool:
        """Something ran."""
        return self.had_supervisor or self.orphans > 0


def stop(
    directory: DataDirectory, patience: float = _PATIENCE_SECONDS, grace: float = _GRACE_SECONDS
) -> Stopped:
    """Stop the platform of `directory` to its last process; nothing running is no error.

    Raises:
        TransientError: UNAVAILABLE if somebody else is just starting a platform there and does not finish.
    """
    platform = record.read(directory)
    if platform is None:
        return Stopped(had_supervisor=False, orphans=0)
    deadline = time.monotonic() + patience
    had_supervisor = False
    # a start that has just begun holds the lock and has no supervisor yet: it is waited for
    while (supervisor := processes.alive(platform.supervisor)) or directory.is_locked():
        if supervisor and not had_supervisor:
            had_supervisor = True
            with contextlib.suppress(psutil.Error):
                supervisor.send_signal(signal.SIGTERM)
        if time.monotonic() > deadline:
            break
        time.sleep(_LOOK_SECONDS)
        platform = record.read(directory) or platform
    if directory.is_locked() and not had_supervisor:
        raise TransientError(
            ErrorCode.UNAVAILABLE, f"Try again: a platform is just being started in {directory.path}."
        )
    return Stopped(had_supervisor, _end_what_is_left(directory, platform, grace))


def _end_what_is_left(directory: DataDirectory, platform: PlatformRecord, grace: float) -> int:
    orphans = leftovers.end(directory, platform, grace)
    ended = replace(platform, state=PlatformState.STOPPED, supervisor=None)
    if ended != platform:
        record.write(directory, ended)
    return orphans
