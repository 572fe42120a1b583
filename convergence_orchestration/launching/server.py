"""The fork server's process: one for each Dagster home, found through a Unix socket, ended by itself when idle.

What belongs here: the process (lock, socket, signals) and its loop. It has one thread and never imports dagster or the
code of a run. `python -m convergence_orchestration.launching.server HOME` comes back once the server listens.
"""

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from types import FrameType
from typing import Any

from convergence_orchestration import logs
from convergence_orchestration.errors import PermanentError
from convergence_orchestration.launching import cold
from convergence_orchestration.launching.client import ALREADY_RUNNING, own_code
from convergence_orchestration.launching.lines import Lines
from convergence_orchestration.launching.model import (
    LaunchRequest,
    ProcessIdentity,
    limits_from,
)
from convergence_orchestration.launching.paths import LaunchPaths, launch_paths
from convergence_orchestration.launching.processes import ending_in_words, identity_of, own_identity
from convergence_orchestration.launching.records import RunRecords
from convergence_orchestration.launching.workers import Begun, Child, Workers
from convergence_orchestration.launching.zygotes import Readiness, Zygote, Zygotes
from convergence_orchestration.settings import load_settings

_LOOK_SECONDS = 0.25
_IDLE_LOOK_SECONDS = 5.0
_SEND_SECONDS = 5.0
_STOP_SECONDS = 10.0

_log = logs.logger(f"{__package__}.server")  # it runs as __main__


class Server:
    """The loop: answers requests, listens to zygotes, looks after workers."""

    def __init__(self, paths: LaunchPaths, lock: int, listener: socket.socket) -> None:
        self._paths = paths
        self._lock = lock
        self._listener = listener
        self._code = own_code()
        self._selector = selectors.DefaultSelector()
        self._zygotes = Zygotes(paths, self._watch, self._forget)
        self._workers = Workers(RunRecords(paths.runs), dict(os.environ), self._begin, self._report)
        self._active_at = time.monotonic()
        self._must_stop = False
        self._is_stopping = False
        self._is_over = False
        self._write_state()

    def serve(self) -> None:
        """Run until told to stop, idle for too long, without a home, or replaced."""
        self._ring_on_signals()
        self._selector.register(self._listener, selectors.EVENT_READ, self._connect)
        self._workers.recover()
        while not self._is_over:
            try:
                self._turn()
            except OSError:
                if self._has_home():
                    raise
                self._workers.stop(0, time.monotonic())
                self._is_over = True
        self._zygotes.end()
        _log.info("The fork server ends.", **self._workers.counts())

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._look_seconds()):
            key.data()
        now = time.monotonic()
        if (self._must_stop or not self._has_home()) and not self._is_stopping:
            self._stop(_STOP_SECONDS)
        self._workers.tick(now)
        self._zygotes.tick(now)
        self._workers.admit(now)
        if self._workers.is_busy:
            self._active_at = now
        is_idle = now - self._active_at > self._workers.limits.idle_seconds
        self._is_over = self._is_over or is_idle or (self._is_stopping and not self._workers.is_executing)

    def _look_seconds(self) -> float:
        """How long nothing needs to be looked at unless somebody speaks."""
        if self._is_stopping or self._workers.must_look:
            return _LOOK_SECONDS
        return min(_IDLE_LOOK_SECONDS, self._workers.limits.idle_seconds)

    def _stop(self, grace: float) -> None:
        self._is_stopping = True
        self._workers.stop(grace, time.monotonic())

    def _has_home(self) -> bool:
        """Whether the home is still the one that this server locked."""
        try:
            return os.path.samestat(self._paths.lock.stat(), os.fstat(self._lock))
        except OSError:
            return False

    # the launcher's side

    def _connect(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            connection.settimeout(_SEND_SECONDS)
            lines = Lines(connection)
            self._selector.register(lines, selectors.EVENT_READ, partial(self._hear_caller, lines))

    def _hear_caller(self, lines: Lines) -> None:
        """Answer the one message of a caller; nothing that it sends, or fails to send, may end the server."""
        try:
            messages = lines.receive()
            if messages == []:
                return
            for message in messages or ():
                lines.send(self._answer(message))
        except (KeyError, TypeError, ValueError, OSError) as error:
            _log.warning("A caller was not understood or is gone.", reason=f"{type(error).__name__}: {error}")
        self._selector.unregister(lines)
        lines.close()

    def _answer(self, message: Mapping[str, Any]) -> dict[str, object]:
        asked = message["ask"]
        if message.get("code", self._code) != self._code:
            self._make_room()
            return {"outdated": True}
        self._active_at = time.monotonic()
        if asked == "launch":
            return self._launch(message)
        if asked == "cancel":
            outcome = self._workers.cancel(message["run_id"], float(message["grace"]), time.monotonic())
            return {"outcome": outcome}
        if asked == "stop":
            self._stop(float(message["grace"]))
        return {"pid": os.getpid(), **self._workers.counts()}

    def _launch(self, message: Mapping[str, Any]) -> dict[str, object]:
        run_id = message["run_id"]
        self._workers.limits = limits_from(message["limits"])
        request = self._workers.accept(run_id, message["environment"])
        if request is not None and message["was_reloaded"]:
            self._zygotes.expire(request.location)
        self._workers.admit(time.monotonic())
        return {"is_held_up": self._workers.is_held_up(run_id)}

    def _make_room(self) -> None:
        """Leave the lock and the socket to a server with newer code, which takes over from the records."""
        _log.info("The launcher's code changed: another fork server takes over.")
        self._selector.unregister(self._listener)
        self._listener.close()
        os.close(self._lock)
        self._is_over = True

    # the zygotes' side

    def _begin(self, request: LaunchRequest, environment: Mapping[str, str], key: str) -> Begun | None:
        """A worker by a zygote if that is ready, by a fresh process if there can be no zygote."""
        zygote = self._zygotes.obtain(request, environment, key)
        if zygote.readiness is Readiness.LOADING:
            return None
        if zygote.readiness is Readiness.READY:
            zygote.fork(request.run_id)
            return Begun()
        child = cold.spawn(self._paths, request, environment)
        return Begun(identity_of(child.pid), child)

    def _report(self, request: LaunchRequest, message: str) -> Child:
        return cold.spawn(self._paths, request, os.environ, lost_because=message)

    def _watch(self, zygote: Zygote) -> None:
        self._selector.register(zygote.lines, selectors.EVENT_READ, partial(self._hear_zygote, zygote))
        self._write_state()

    def _forget(self, zygote: Zygote) -> None:
        self._selector.unregister(zygote.lines)

    def _hear_zygote(self, zygote: Zygote) -> None:
        try:
            events = zygote.lines.receive()
        except (OSError, ValueError):
            events = None
        if events is None:
            self._workers.unwatched(self._zygotes.gone(zygote))
            return
        for event in events:
            self._zygotes.heard(zygote, event)
            self._note(event)

    def _note(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "forked":
            self._workers.forked(event["run_id"], ProcessIdentity(**event["process"]))
        elif event["event"] == "exited":
            self._workers.ended(event["run_id"], ending_in_words(event["status"]))
        elif event["event"] == "refused":
            self._workers.refused(event["run_id"], event["reason"], time.monotonic())

    # the process

    def _ring_on_signals(self) -> None:
        """Have SIGTERM and SIGINT wake the loop, which then stops in order."""
        bell, rope = socket.socketpair()
        bell.settimeout(0)
        rope.settimeout(0)
        signal.set_wakeup_fd(rope.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, partial(self._on_signal, rope))
        self._selector.register(bell, selectors.EVENT_READ, partial(bell.recv, 4096))

    def _on_signal(self, _rope: socket.socket, _number: int, _frame: FrameType | None) -> None:
        self._must_stop = True

    def _write_state(self) -> None:
        state = {
            "socket": self._listener.getsockname(),
            "server": asdict(own_identity()),
            "zygotes": [asdict(process) for process in self._zygotes.processes],
        }
        draft = self._paths.state.with_suffix(".draft")
        draft.write_text(json.dumps(state))
        draft.replace(self._paths.state)


def main(home: str) -> int:
    """Start the server of a Dagster home; 0 once it listens, ALREADY_RUNNING if one does already, 1 if it cannot."""
    paths = launch_paths(home)
    try:
        logs.configure(load_settings())
    except PermanentError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    paths.make_directories()
    lock = os.open(paths.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return ALREADY_RUNNING
    listener = _listen(paths)
    ready, say_ready = os.pipe()
    if os.fork():
        os.close(say_ready)
        return 0 if os.read(ready, 1) else 1
    server = Server(paths, lock, listener)
    os.write(say_ready, b"!")
    os.close(say_ready)
    server.serve()
    return 0


def _listen(paths: LaunchPaths) -> socket.socket:
    path = paths.new_socket()
    path.unlink(missing_ok=True)  # left by a server that was killed: we have the lock
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.fspath(path))
    path.chmod(0o600)
    listener.listen(128)
    listener.settimeout(0)
    return listener


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
