"""Following the access log: each line is counted once, and no file grows without a bound.

What belongs here: one round of reading and rotating. It runs in a thread of its own, so that a busy log does not keep a
change of traffic waiting.
"""

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from convergence_orchestration.errors import TransientError
from convergence_orchestration.local_gcp.front_door.access_log import AccessLogFiles, request_of
from convergence_orchestration.local_gcp.front_door.measurements import Measurements, Position

MAX_LOG_BYTES = 50_000_000
KEPT_FILES = 3
_CHUNK_BYTES = 1_000_000
# Envoy writes what it has every 0.1 s; on a busy machine a little later
_WRITTEN_WITHIN = timedelta(seconds=0.5)
_PURGE_EVERY = timedelta(minutes=10)


class LogWriter(Protocol):
    """Whoever writes the access log."""

    def reopen_logs(self) -> None:
        """Write to the file that has the log's name now."""


class Counting:
    """Rounds of counting; each is one transaction."""

    def __init__(
        self,
        log: Path,
        measurements: Measurements,
        writer: LogWriter,
        clock: Callable[[], datetime],
        max_bytes: int = MAX_LOG_BYTES,
    ) -> None:
        self._files = AccessLogFiles(log, KEPT_FILES)
        self._measurements = measurements
        self._writer = writer
        self._clock = clock
        self._max_bytes = max_bytes
        self._position = measurements.position() or Position(self._files.first_generation(), 0, 0.0)
        self._purged = datetime.fromtimestamp(0).astimezone()

    def round(self) -> bool:
        """Count what is new, at most a megabyte; True if there is more to count now."""
        now = self._clock()
        # asked before reading: what is written after the writer has reopened is in the newest file
        is_finished = self._files.is_former(self._position.generation) and self._files.newest.exists()
        lines, length, is_all = self._read()
        if lines or is_all:
            complete = (now - _WRITTEN_WITHIN).timestamp() if is_all and not is_finished else 0.0
            self._count(lines, length, complete)
        if is_finished and is_all:
            self._measurements.add(
                [], Position(self._position.generation + 1, 0, self._position.complete_until)
            )
            self._position = Position(self._position.generation + 1, 0, self._position.complete_until)
            return True
        self._keep_bounded(now)
        return not is_all

    def _count(self, lines: list[bytes], length: int, complete_until: float) -> None:
        requests = [request for line in lines if (request := request_of(line)) is not None]
        position = Position(
            self._position.generation,
            self._position.bytes + length,
            max(self._position.complete_until, complete_until),
        )
        self._measurements.add(requests, position)
        self._position = position

    def _read(self) -> tuple[list[bytes], int, bool]:
        """Whole lines from the position on, their length in bytes, and whether there are no more."""
        try:
            with self._files.path_of(self._position.generation).open("rb") as log:
                log.seek(self._position.bytes)
                chunk = log.read(_CHUNK_BYTES)
        except FileNotFoundError:
            return [], 0, True
        whole = chunk[: chunk.rfind(b"\n") + 1]
        return whole.splitlines(), len(whole), len(chunk) < _CHUNK_BYTES

    def _keep_bounded(self, now: datetime) -> None:
        generation = self._position.generation
        if self._position.bytes > self._max_bytes and not self._files.is_former(generation):
            self._files.retire(generation)
        if self._files.is_former(generation):
            with contextlib.suppress(TransientError):  # a dead Envoy's successor opens the newest file anyway
                self._writer.reopen_logs()
        if now - self._purged > _PURGE_EVERY:
            self._purged = now
            self._measurements.purge(now.timestamp())
