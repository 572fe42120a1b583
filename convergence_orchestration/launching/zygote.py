"""A process with a code location imported, which forks a worker for each run it is told. Started by the server alone.

It listens on standard input, a socket: first the request to prepare for, then run ids. It says `ready` or `unfit`, then
`forked` and `exited` for each worker. It has one thread, no Dagster instance and no connection, so that a fork of it is
as good as a fresh process that imported the same code. If the server dies while runs wait, it starts another.
"""

import gc
import logging
import os
import selectors
import signal
import socket
import sys
import time
import warnings
from dataclasses import asdict
from enum import Enum
from pathlib import Path

from convergence_orchestration.launching import worker
from convergence_orchestration.launching.client import succeed
from convergence_orchestration.launching.fitness import own_unfit_reason
from convergence_orchestration.launching.lines import Lines
from convergence_orchestration.launching.model import LaunchRequest, ProcessIdentity
from convergence_orchestration.launching.paths import launch_paths
from convergence_orchestration.launching.processes import identity_of
from convergence_orchestration.launching.records import RunRecords
from convergence_orchestration.launching.sources import LoadedSources, fingerprint, roots_of

_log = logging.getLogger(__name__)


class End(Enum):
    """Why a zygote stopped serving."""

    TOLD_TO = "the server said so"
    ALONE = "the server is gone"
    UNFIT = "it must not fork"


def main(home: str) -> int:
    """Run a zygote; in each process that it forks, the worker. The exit code."""
    paths = launch_paths(home)
    records = RunRecords(paths.runs)
    lines = Lines(_take_standard_input())
    try:
        request = LaunchRequest.from_json(lines.answer()["prepare"])
        outcome = Zygote(lines).serve() if prepare(lines, request) else End.UNFIT
    except OSError:  # the server died while the code was imported
        outcome = End.ALONE
    if isinstance(outcome, str):
        return worker.execute(records, outcome)
    if outcome is End.ALONE:
        succeed(paths)
    return 0


def prepare(lines: Lines, request: LaunchRequest) -> bool:
    """Import everything and say how it went; whether this process may fork."""
    started, reason = time.time_ns(), ""
    own_files: tuple[Path, ...] = ()
    try:
        own_files = worker.preload(request)
    except Exception as error:  # noqa: BLE001 the code location may raise anything
        _log.exception("The code location cannot be imported.")
        reason = f"the import raised {type(error).__name__}"
    reason = reason or own_unfit_reason()
    roots = roots_of(sys.modules, also=own_files)
    sources = LoadedSources(roots, fingerprint(roots), started, time.time_ns())
    gc.collect()
    gc.freeze()
    lines.send({"event": "unfit" if reason else "ready", "reason": reason, "sources": asdict(sources)})
    return not reason


class Zygote:
    """The loop of a zygote: fork on command, report ends."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._runs: dict[int, str] = {}
        self._selector = selectors.DefaultSelector()
        self._bell, self._bell_rope = socket.socketpair()

    def serve(self) -> str | End:
        """Why it is over; or, in a worker just forked, the run to execute."""
        self._bell.settimeout(0)
        self._bell_rope.settimeout(0)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._bell_rope.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._lines, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in self._selector.select()]
            if self._bell in ready:
                self._bell.recv(4096)
                self._report_ends()
            if self._lines in ready:
                outcome = self._obey()
                if outcome is not None:
                    return outcome

    def _obey(self) -> str | End | None:
        try:
            commands = self._lines.receive()
        except OSError:
            commands = None
        if commands is None:
            return End.ALONE
        for command in commands:
            if "fork" not in command:
                return End.TOLD_TO
            if self._fork(command["fork"]):
                return str(command["fork"])
        return None

    def _fork(self, run_id: str) -> bool:
        """Fork a worker; True in the worker."""
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
                pid = os.fork()  # the warning is about native threads, see fitness.py
        except OSError as error:
            self._say({"event": "refused", "run_id": run_id, "reason": str(error)})
            return False
        if pid == 0:
            self._become_worker()
            return True
        self._runs[pid] = run_id
        self._say(
            {
                "event": "forked",
                "run_id": run_id,
                "process": asdict(identity_of(pid) or ProcessIdentity(pid, "")),
            }
        )
        return False

    def _become_worker(self) -> None:
        """Let go of all that is the zygote's, and lead a group of processes of one's own."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        self._lines.close()
        self._bell.close()
        self._bell_rope.close()
        os.setsid()
        if "numpy.random" in sys.modules:
            sys.modules["numpy.random"].seed()

    def _report_ends(self) -> None:
        while self._runs:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            run_id = self._runs.pop(pid, None)
            if run_id is not None:
                status = os.waitstatus_to_exitcode(status)
                self._say({"event": "exited", "run_id": run_id, "status": status})

    def _say(self, event: dict[str, object]) -> None:
        try:
            self._lines.send(event)
        except OSError:
            return  # the server is gone, which the next look at the socket tells


def _take_standard_input() -> socket.socket:
    """The socket that standard input is, out of the way of those who expect a plain standard input."""
    connection = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return connection


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(main(sys.argv[1]))
