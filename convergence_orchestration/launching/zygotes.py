"""The server's zygotes: one for each code location and environment, replaced when the code changes."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from convergence_orchestration.launching.lines import Lines
from convergence_orchestration.launching.model import CodeLocation, LaunchRequest, ProcessIdentity, zygote_key
from convergence_orchestration.launching.paths import LaunchPaths, open_log
from convergence_orchestration.launching.processes import ending_in_words, identity_of, python_command
from convergence_orchestration.launching.sources import Fingerprint, LoadedSources, fingerprint
from convergence_orchestration.logs import logger

_LOADING_SECONDS = 180.0
_UNFIT_SECONDS = 60.0
"""After as long a code location that could not be imported is tried again even if no file changed."""
_MOST_ZYGOTES = 2
"""Each takes the memory of one import; the web server and the daemon normally share one."""

_FORK_ON_A_MAC = {"OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES"} if sys.platform == "darwin" else {}
"""Apple's frameworks abort a forked child that uses them unless this is set."""

_log = logger(__name__)


class Readiness(StrEnum):
    """What a zygote can do for a run now."""

    LOADING = "loading"
    READY = "ready"
    UNFIT = "unfit"


@dataclass
class Zygote:
    """One zygote as the server sees it.

    Attributes:
        process: None once it ended.
        since: monotonic seconds when it became what `readiness` says.
        spawned_at: nanoseconds since the epoch.
        runs: those it was told to fork and whose end it did not report.
    """

    key: str
    location: CodeLocation
    child: subprocess.Popen[bytes]
    lines: Lines
    process: ProcessIdentity | None
    since: float
    spawned_at: int
    readiness: Readiness = Readiness.LOADING
    sources: LoadedSources | None = None
    runs: set[str] = field(default_factory=set)
    is_told_to_end: bool = False

    def fork(self, run_id: str) -> None:
        """Have a worker forked for a run; OSError if the zygote is gone."""
        self.lines.send({"fork": run_id})
        self.runs.add(run_id)


class Zygotes:
    """All zygotes of a server; `watch` and `forget` tell its loop which sockets to listen to."""

    def __init__(
        self, paths: LaunchPaths, watch: Callable[[Zygote], None], forget: Callable[[Zygote], None]
    ) -> None:
        self._paths = paths
        self._watch = watch
        self._forget = forget
        self._current: dict[str, Zygote] = {}
        self._retired: list[Zygote] = []

    @property
    def processes(self) -> list[ProcessIdentity]:
        """Every living zygote."""
        zygotes = (*self._current.values(), *self._retired)
        return [zygote.process for zygote in zygotes if zygote.process]

    def obtain(
        self, request: LaunchRequest, environment: Mapping[str, str], key_of_environment: str
    ) -> Zygote:
        """The zygote with a run's code as it was when the run was accepted or later; a new one if there is none.

        Raises:
            OSError: no process can be started.
        """
        key = zygote_key(request.location, key_of_environment)
        zygote = self._current.get(key)
        if zygote is not None and not _is_outdated(zygote, request):
            self._current[key] = self._current.pop(key)  # the most recently used is the last
            return zygote
        if zygote is not None:
            _log.info("The code changed: its zygote is replaced.", location=request.location.name)
            self._retire(zygote)
        return self._spawn(key, request, environment)

    def expire(self, location: CodeLocation) -> None:
        """Have the zygotes of a code location replaced before its next run."""
        for zygote in [one for one in self._current.values() if one.location == location]:
            self._retire(zygote)

    def heard(self, zygote: Zygote, event: Mapping[str, Any]) -> None:
        """Take note of what a zygote said about itself or its workers."""
        if event["event"] in {"ready", "unfit"}:
            found = event["sources"]
            zygote.sources = LoadedSources(
                tuple(found["roots"]), Fingerprint(**found["fingerprint"]), zygote.spawned_at, found["ended"]
            )
            _is_loaded(zygote, Readiness(event["event"]), str(event["reason"]))
        elif event["event"] in {"exited", "refused"}:
            zygote.runs.discard(event["run_id"])
            self._release_if_done(zygote)

    def gone(self, zygote: Zygote) -> set[str]:
        """A zygote ended; the runs that it was told to fork and whose end it did not report."""
        self._forget(zygote)
        zygote.lines.close()
        zygote.process = None
        status = zygote.child.wait()
        if zygote in self._retired:
            self._retired.remove(zygote)
        elif zygote.readiness is Readiness.LOADING:
            _is_loaded(zygote, Readiness.UNFIT, f"its process {ending_in_words(status)} during the import")
        elif zygote.readiness is Readiness.READY:
            self._current.pop(zygote.key, None)
            _log.warning(
                "A zygote ended; another is started when it is needed.", ending=ending_in_words(status)
            )
        runs, zygote.runs = zygote.runs, set()
        return runs

    def tick(self, now: float) -> None:
        """Give up an import that does not end; `now` is monotonic, in seconds."""
        for zygote in self._current.values():
            if zygote.readiness is Readiness.LOADING and now - zygote.since > _LOADING_SECONDS:
                zygote.child.kill()

    def end(self) -> None:
        """End every zygote, whatever became of its workers."""
        for zygote in [*self._current.values(), *self._retired]:
            if zygote.process is not None:
                _tell_to_end(zygote)

    def _spawn(self, key: str, request: LaunchRequest, environment: Mapping[str, str]) -> Zygote:
        ours, theirs = socket.socketpair()
        spawned_at = time.time_ns()
        with ours, theirs, open_log(self._paths.workers_log) as log:
            child = subprocess.Popen(  # noqa: S603 our own module by the location's Python
                python_command(request.location.executable, "zygote", os.fspath(self._paths.home)),
                stdin=theirs.fileno(),
                stdout=log,
                stderr=log,
                cwd=request.location.working_directory,
                env={**environment, **_FORK_ON_A_MAC},
            )
            lines = Lines(socket.socket(fileno=ours.detach()))
        lines.send({"prepare": request.to_json()})
        process = identity_of(child.pid)
        zygote = Zygote(key, request.location, child, lines, process, time.monotonic(), spawned_at)
        self._current[key] = zygote
        self._watch(zygote)
        for older in list(self._current.values())[:-_MOST_ZYGOTES]:
            if older.readiness is not Readiness.LOADING:  # somebody waits for that one
                self._retire(older)
        return zygote

    def _retire(self, zygote: Zygote) -> None:
        self._current.pop(zygote.key, None)
        if zygote.process is not None:
            self._retired.append(zygote)
            self._release_if_done(zygote)

    def _release_if_done(self, zygote: Zygote) -> None:
        """A retired zygote stays until its last worker ended, to say how that was."""
        if zygote in self._retired and not zygote.runs:
            _tell_to_end(zygote)


def _tell_to_end(zygote: Zygote) -> None:
    zygote.is_told_to_end = True
    with contextlib.suppress(OSError):  # it is gone already
        zygote.lines.send({"end": True})


def _is_loaded(zygote: Zygote, readiness: Readiness, reason: str) -> None:
    zygote.readiness, zygote.since = readiness, time.monotonic()
    if readiness is Readiness.UNFIT:
        _log.warning(
            "Workers are started without a zygote, which is slower.",
            location=zygote.location.name,
            reason=reason,
        )
    else:
        _log.info("A zygote is ready.", location=zygote.location.name, pid=zygote.child.pid)


def _is_outdated(zygote: Zygote, request: LaunchRequest) -> bool:
    """Whether this import must not serve that run: older than the run, and no longer what the files say."""
    if zygote.readiness is Readiness.LOADING or zygote.spawned_at >= request.accepted_at:
        return False
    if zygote.readiness is Readiness.UNFIT and time.monotonic() - zygote.since > _UNFIT_SECONDS:
        return True
    return zygote.sources is not None and zygote.sources.is_stale(fingerprint(zygote.sources.roots))
