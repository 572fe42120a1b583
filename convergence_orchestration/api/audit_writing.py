"""One API process' writer of the audit log, and the rows that no call waits for.

What belongs here: threads, the bounded queue, and what is said when it overflows. Which rows there are is `auditing.py`.
"""

from collections import deque
from collections.abc import Callable
from datetime import datetime
from threading import Event, Lock, Thread

import anyio
import anyio.to_thread
from google.cloud.bigquery import Client

from convergence_orchestration.audit.log import AuditLog
from convergence_orchestration.audit.model import Actor, ActorKind, AuditEntry, Outcome
from convergence_orchestration.audit.trail import AuditTrail
from convergence_orchestration.audit.writer import AuditWriter, new_writer_id
from convergence_orchestration.errors import ConvergenceError, ErrorCode
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.logs import logger
from convergence_orchestration.settings import Environment

MOST_WAITING = 1000
"""Rows of refused calls that wait to be written; more are only counted."""

WRITERS_AT_ONCE = 64
"""Threads that may wait for the log at once, apart from those of anybody else; one append serves all who wait."""

UNKNOWN = Actor(ActorKind.ADMIN_KEY, "unknown")
"""Whoever sent no administrators' key, or a wrong one."""

_TOTAL_SECONDS = 10.0  # a call that cannot be recorded fails after it
_AT_ONCE = 300
_PAUSE_SECONDS = 1.0
_PAUSE_AFTER_FAILURE_SECONDS = 5.0
_STOP_SECONDS = 3.0
_CLOSE_SECONDS = 3.0
_log = logger(__name__)


class ApiAudit:
    """The log as one API process writes and reads it.

    Attributes:
        trail: what calls record through.
        log: what `GET /admin/audit` reads.
    """

    def __init__(self, client: Client, environment: Environment, clock: Callable[[], datetime]) -> None:
        bigquery = BigQuery(client, _TOTAL_SECONDS)
        self.log = AuditLog(bigquery)
        self.trail = AuditTrail(
            AuditWriter(bigquery, new_writer_id("api"), environment, clock), ActorKind.ADMIN_KEY
        )
        self.later = LaterRows(self.trail.writer, clock)
        self._threads: anyio.CapacityLimiter | None = None

    async def record(self, *entries: AuditEntry) -> None:
        """Come back when they are stored; errors are those of `AuditWriter.append`."""
        if self._threads is None:
            self._threads = anyio.CapacityLimiter(WRITERS_AT_ONCE)
        await anyio.to_thread.run_sync(self.trail.append, *entries, limiter=self._threads)

    def start(self) -> None:
        """Begin to write what no call waits for."""
        self.later.start()

    def stop(self) -> None:
        """Write what still waits and close the chain, if that goes quickly: a process that ends is killed soon."""
        self.later.stop()
        closing = Thread(target=self.trail.writer.close, name="the audit log's end", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)


class LaterRows:
    """Rows that are written in the background, in batches; `note` never waits and never fails."""

    def __init__(self, writer: AuditWriter, clock: Callable[[], datetime]) -> None:
        self._writer = writer
        self._clock = clock
        self._lock = Lock()
        self._rows: deque[AuditEntry] = deque()
        self._left_out = 0
        self._stopping = Event()
        self._wanted = Event()
        self._thread = Thread(target=self._run, name="audit rows that no call waits for", daemon=True)

    def note(self, entry: AuditEntry) -> None:
        """Have the row written soon; beyond MOST_WAITING it is only counted."""
        with self._lock:
            if len(self._rows) < MOST_WAITING:
                self._rows.append(entry)
            else:
                self._left_out += 1
        self._wanted.set()

    def start(self) -> None:
        """Begin. Once in its life."""
        self._thread.start()

    def stop(self) -> None:
        """Try once more to write what waits, and end."""
        self._stopping.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def write(self) -> bool:
        """Write one batch of what waits, and what was in doubt; False if that failed, and then it waits on."""
        rows, left_out = self._taken()
        counted = [self._more(left_out)] if left_out else []
        try:
            if rows or counted:
                self._writer.append(*rows, *counted)
            else:
                self._writer.flush()
        except ConvergenceError as error:
            if error.code is ErrorCode.INVALID_ARGUMENT:
                _log.error(
                    "Rows of the audit log were refused and are lost.", rows=len(rows), reason=error.message
                )
                return True
            self._put_back(rows, left_out)
            return error.code is ErrorCode.NOT_FOUND and not rows and not counted
        return True

    def _taken(self) -> tuple[list[AuditEntry], int]:
        with self._lock:
            rows = [self._rows.popleft() for _ in range(min(_AT_ONCE, len(self._rows)))]
            left_out = 0 if self._rows else self._left_out
            if not self._rows:
                self._left_out = 0
        return rows, left_out

    def _put_back(self, rows: list[AuditEntry], left_out: int) -> None:
        with self._lock:
            self._rows.extendleft(reversed(rows))
            while len(self._rows) > MOST_WAITING:
                self._rows.pop()
                left_out += 1
            self._left_out += left_out

    def _more(self, count: int) -> AuditEntry:
        return AuditEntry(
            "audit.refused_calls",
            UNKNOWN,
            Outcome.REFUSED,
            error_code=ErrorCode.FORBIDDEN,
            details={"more_refused_calls": count},
            recorded_at=self._clock(),
        )

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wanted.wait(_PAUSE_AFTER_FAILURE_SECONDS)
            self._wanted.clear()
            is_written = self._write_all()
            self._stopping.wait(_PAUSE_SECONDS if is_written else _PAUSE_AFTER_FAILURE_SECONDS)
        self._write_all()

    def _write_all(self) -> bool:
        try:
            while self.write():
                with self._lock:
                    if not (self._rows or self._left_out):
                        return True
        except Exception:  # noqa: BLE001 a thread that died would record no refused call any more
            _log.exception("A defect kept rows of the audit log from being written.")
        return False
