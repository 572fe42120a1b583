"""The server's runs from accepted to ended: who starts next, who is running, who must end, whose death to report.

What belongs here: the state of runs and what follows from each event. How a worker or a report is started is the
server's business, sockets too.
"""

import contextlib
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from convergence_orchestration.launching.model import LaunchRequest, Limits, ProcessIdentity, environment_key
from convergence_orchestration.launching.processes import ending_in_words, is_alive, kill_with_its_group, send
from convergence_orchestration.launching.records import RunRecords
from convergence_orchestration.logs import logger

_PAUSE_SECONDS = 1.0
_REPORT_ATTEMPTS = 3
_KEPT_SECONDS = 3600.0

_log = logger(__name__)


class Child(Protocol):
    """A child process, as far as it is looked at."""

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""


@dataclass(frozen=True)
class Begun:
    """A worker that was asked for: `process` and `child` are None if a zygote forks it and will report about it."""

    process: ProcessIdentity | None = None
    child: Child | None = None


type Begin = Callable[[LaunchRequest, Mapping[str, str], str], Begun | None]
"""Starts a worker, given an environment and its key; None if that cannot be yet; OSError if there can be no process."""

type Report = Callable[[LaunchRequest, str], Child]
"""Starts a process that tells Dagster what became of a lost run; OSError if there can be no process."""


class Cancelled(StrEnum):
    """What canceling a run came to."""

    DEQUEUED = "dequeued"
    SIGNALLED = "signalled"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Waiting:
    """A run without a worker, with the key of the environment that it shall have."""

    request: LaunchRequest
    environment: str


@dataclass
class Running:
    """A run that a worker was asked for.

    Attributes:
        process: None until the worker is known.
        child: the worker, where it is the server's own child.
        is_adopted: nobody will report its end: look for it.
        kill_at: when patience ends with a worker that was told to end.
    """

    waiting: Waiting
    process: ProcessIdentity | None = None
    child: Child | None = None
    is_adopted: bool = False
    kill_at: float | None = None


@dataclass
class Lost:
    """A run whose worker died, until Dagster knows."""

    request: LaunchRequest
    message: str
    attempts: int = 0
    reporter: Child | None = None


def to_start(waiting: int, running: int, limit: int) -> int:
    """How many of the waiting runs may start while so many run."""
    return max(0, min(waiting, limit - running))


class Workers:
    """Every run that was accepted and whose end is not known. Times are monotonic seconds."""

    def __init__(
        self, records: RunRecords, environment: Mapping[str, str], begin: Begin, report: Report
    ) -> None:
        self.limits = Limits()
        self._records = records
        self._begin = begin
        self._report = report
        self._own_key = environment_key(environment)
        self._environments = {self._own_key: environment}
        self._waiting: dict[str, Waiting] = {}
        self._running: dict[str, Running] = {}
        self._lost: dict[str, Lost] = {}
        self._paused_until = 0.0
        self._pruned_at = 0.0
        self._is_stopping = False

    @property
    def is_busy(self) -> bool:
        """Whether any run has not ended."""
        return bool(self._waiting or self._running or self._lost)

    @property
    def is_executing(self) -> bool:
        """Whether workers still run."""
        return bool(self._running)

    @property
    def must_look(self) -> bool:
        """Whether something can happen that nobody will report."""
        unreported = any(
            one.is_adopted or one.child or one.kill_at is not None for one in self._running.values()
        )
        return unreported or bool(self._lost) or (bool(self._waiting) and self._paused_until > 0)

    def counts(self) -> dict[str, int]:
        """How many runs wait, run, and are being reported as lost."""
        return {"waiting": len(self._waiting), "running": len(self._running), "lost": len(self._lost)}

    def recover(self) -> None:
        """Take over what an earlier server left: runs without a worker wait, workers are looked at by `tick`."""
        for request in self._records.open_requests():
            waiting = Waiting(request, self._own_key)
            record = self._records.worker(request.run_id)
            if record is None:
                self._waiting[request.run_id] = waiting
            else:
                self._running[request.run_id] = Running(waiting, record.process, is_adopted=True)
        if self.is_busy:
            _log.info("Carrying on from an earlier server.", **self.counts())

    def accept(self, run_id: str, environment: Mapping[str, str]) -> LaunchRequest | None:
        """Take on a run whose request is on disk; None if it has, or had, a worker, or is not asked for any more."""
        request = self._records.request(run_id)
        is_begun = run_id in self._running or run_id in self._lost or self._records.worker(run_id) is not None
        if request is None or is_begun:
            return None
        key = environment_key(environment)
        self._environments[key] = environment
        self._waiting[run_id] = Waiting(request, key)
        return request

    def is_held_up(self, run_id: str) -> bool:
        """Whether a run waits because as many as may run do."""
        return run_id in self._waiting and len(self._running) >= self.limits.workers

    def admit(self, now: float) -> None:
        """Start what may start."""
        if self._is_stopping or now < self._paused_until:
            return
        self._paused_until = 0.0
        for run_id, waiting in list(self._waiting.items()):
            if not to_start(len(self._waiting), len(self._running), self.limits.workers):
                return
            try:
                running = self._start(waiting)
            except OSError as error:
                _log.warning("No process can be started; trying again.", run_id=run_id, reason=str(error))
                self._paused_until = now + _PAUSE_SECONDS
                return
            if running is not None:
                del self._waiting[run_id]
                self._running[run_id] = running

    def cancel(self, run_id: str, grace: float, now: float) -> Cancelled:
        """Have a run end: at once if it waits, else by SIGTERM, and by SIGKILL after `grace` seconds."""
        if self._waiting.pop(run_id, None):
            self._records.close(run_id)
            return Cancelled.DEQUEUED
        running = self._running.get(run_id)
        if running is None and self._records.worker(run_id) is None:
            self._records.close(run_id)  # whose launch we are about to be told of
        if running is None or (running.process and not is_alive(running.process)):
            return Cancelled.UNKNOWN
        running.kill_at = now + grace
        if running.process:
            send(running.process, signal.SIGTERM)
        return Cancelled.SIGNALLED

    def forked(self, run_id: str, process: ProcessIdentity) -> None:
        """A zygote forked the run's worker."""
        running = self._running.get(run_id)
        if running is None:
            return
        running.process = process
        if running.kill_at is not None:
            send(process, signal.SIGTERM)

    def refused(self, run_id: str, reason: str, now: float) -> None:
        """A zygote could not fork: the run is the first to start a little later."""
        running = self._running.pop(run_id, None)
        if running is None:
            return
        _log.warning("No worker can be forked; trying again.", run_id=run_id, reason=reason)
        self._waiting = {run_id: running.waiting, **self._waiting}
        self._paused_until = now + _PAUSE_SECONDS

    def unwatched(self, run_ids: set[str]) -> None:
        """The zygote of these runs ended: their workers live on, and are looked at; what has no worker waits again."""
        for run_id in run_ids & self._running.keys():
            running = self._running[run_id]
            record = self._records.worker(run_id)
            if record is not None:
                running.process = record.process
            if running.process is None:
                del self._running[run_id]
                self._waiting = {run_id: running.waiting, **self._waiting}
            running.is_adopted = True

    def ended(self, run_id: str, ending: str) -> None:
        """The run's worker ended; unless it saw its run finished, Dagster is told that it is lost."""
        running = self._running.pop(run_id, None)
        if running is None:
            return
        record = self._records.worker(run_id)
        if (record is not None and record.is_finished) or self._records.request(run_id) is None:
            self._records.close(run_id)
            return
        if record is not None and record.process != running.process and is_alive(record.process):
            # around a crash the run was forked twice, and the other worker has it
            self._running[run_id] = replace(running, process=record.process, child=None, is_adopted=True)
            return
        if self._is_stopping:
            return
        ending = (record and record.ending) or ending
        self._records.note_ending(run_id, ending)
        pid = running.process.pid if running.process else "unknown"
        message = f"The run's worker process (pid: {pid}) {ending} before the run was finished."
        _log.warning("A worker died.", run_id=run_id, pid=pid, ending=ending)
        self._lost[run_id] = Lost(running.waiting.request, message)

    def tick(self, now: float) -> None:
        """Look at everything that nobody reports, and end what had its grace."""
        for run_id, running in list(self._running.items()):
            if running.kill_at is not None and now >= running.kill_at and running.process:
                kill_with_its_group(running.process)
            status = running.child.poll() if running.child else None
            if status is not None:
                self.ended(run_id, ending_in_words(status))
            elif running.is_adopted and not (running.process and is_alive(running.process)):
                self.ended(run_id, "ended, nobody saw how,")
        for lost in list(self._lost.values()):
            self._see_to(lost)
        if now - self._pruned_at > _KEPT_SECONDS / 6:
            self._records.prune(_KEPT_SECONDS)
            self._pruned_at = now

    def stop(self, grace: float, now: float) -> None:
        """Interrupt all workers, start no more; what waits stays on disk for the next server."""
        self._is_stopping = True
        for run_id in list(self._running):
            self.cancel(run_id, grace, now)

    def _start(self, waiting: Waiting) -> Running | None:
        begun = self._begin(waiting.request, self._environments[waiting.environment], waiting.environment)
        return Running(waiting, begun.process, begun.child) if begun else None

    def _see_to(self, lost: Lost) -> None:
        """Have a process tell Dagster; a few times, then leave it to run monitoring and to the next server."""
        if lost.reporter is None:
            lost.attempts += 1
            with contextlib.suppress(OSError):
                lost.reporter = self._report(lost.request, lost.message)
            return
        status = lost.reporter.poll()
        if status is None:
            return
        lost.reporter = None
        if status == 0:
            self._records.close(lost.request.run_id)
        elif lost.attempts < _REPORT_ATTEMPTS:
            return
        else:
            _log.error("A dead worker's run could not be reported.", run_id=lost.request.run_id)
        del self._lost[lost.request.run_id]
