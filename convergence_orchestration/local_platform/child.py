"""One child process of the supervisor: started in a session of its own, its output in its log file.

What belongs here: the process. When it is started, restarted or stopped is `supervisor.py`'s business.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil

from convergence_orchestration.local_platform import log_files
from convergence_orchestration.local_platform.model import ProcessIdentity
from convergence_orchestration.local_platform.processes import identity_of
from convergence_orchestration.local_platform.services import Service

_POLL_SECONDS = 0.1


class Child:
    """A running process of a service.

    Attributes:
        identity: of the process, None if it ended before it could be looked at.
        started: when it was started, seconds since the epoch.
    """

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.started = time.time()
        self.identity: ProcessIdentity | None = None
        with contextlib.suppress(psutil.Error):
            self.identity = identity_of(process.pid)

    @classmethod
    def start(cls, service: Service, log: Path, directory: Path) -> "Child":
        """Start the service's command in `directory`, its output appended to `log`.

        Raises:
            OSError: the program cannot be started.
        """
        with log_files.open_for_appending(log) as output:
            process = subprocess.Popen(  # noqa: S603 commands are ours
                service.command,
                env=dict(service.environment),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a terminal's Ctrl-C reaches the supervisor alone; its group can be signalled
            )
        return cls(process)

    @property
    def pid(self) -> int:
        """Its process id, also after its end; that of its group and session as well."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self._process.poll()

    async def ended(self) -> int:
        """Wait until it has ended: its exit code."""
        while (code := self.exit_code) is None:  # noqa: ASYNC110 no event tells; costs nothing
            await asyncio.sleep(_POLL_SECONDS)
        return code

    async def group_ended(self) -> None:
        """Wait until it and the descendants that stayed in its group have ended."""
        await self.ended()
        while self._group_is_there():  # noqa: ASYNC110 no event tells
            await asyncio.sleep(_POLL_SECONDS)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and to the descendants that stayed in its group (run workers do)."""
        if self.exit_code is not None:
            return  # its process id may be another's by now
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _group_is_there(self) -> bool:
        # as long as anyone is in the group, nobody else can get its number
        try:
            os.killpg(self.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def described(exit_code: int) -> str:
    """How a process ended, in words."""
    if exit_code >= 0:
        return f"exit status {exit_code}"
    with contextlib.suppress(ValueError):
        return f"signal {signal.Signals(-exit_code).name}"
    return f"signal {-exit_code}"
