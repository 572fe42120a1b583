"""How rows get into the log: one chain for each writer, in batches, and none out of turn.

What belongs here: the order of rows and what happens when an append fails. A batch of which nobody knows whether it was
stored is repeated, the very same rows, before anything newer: so the chain stays whole whoever's call fails meanwhile.
"""

import os
import socket
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock

from convergence_orchestration.audit.chain import chained, head_at
from convergence_orchestration.audit.log import AuditLog
from convergence_orchestration.audit.model import (
    ANCHORS,
    CLOSED,
    OPENED,
    Actor,
    ActorKind,
    AuditEntry,
    ChainedRow,
    Head,
    Outcome,
)
from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.logs import logger
from convergence_orchestration.settings import Environment

ANCHORED_WITHIN = timedelta(days=2)
"""Chains that ended longer ago are anchored already: whoever opened a chain meanwhile has done it."""

MOST_AT_ONCE = 400
"""Rows of one append; BigQuery advises 500, and the opening row comes on top."""

_NOT_STORED = frozenset({ErrorCode.NOT_FOUND, ErrorCode.INVALID_ARGUMENT})
"""After these it is sure that no row of the append was stored."""

_log = logger(__name__)


@dataclass
class _Ticket:
    """Entries that somebody waits for, and what became of them."""

    entries: tuple[AuditEntry, ...]
    is_settled: bool = False
    error: BaseException | None = None

    def settle(self, error: BaseException | None = None) -> None:
        self.is_settled, self.error = True, error


def new_writer_id(where: str) -> str:
    """An id for this process' chain that no other writer has; `where` is for people, for example `api`."""
    return f"{where}:{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


class AuditWriter:
    """One chain; any number of threads may append to it. Nothing is written before the first entry.

    Args:
        bigquery: where the log is.
        writer_id: names the chain; never used again by another writer.
        environment: of every row.
        clock: the time now, UTC.
    """

    def __init__(
        self, bigquery: BigQuery, writer_id: str, environment: Environment, clock: Callable[[], datetime]
    ) -> None:
        self.writer_id = writer_id
        self._log = AuditLog(bigquery)
        self._environment = environment
        self._clock = clock
        self._arriving = Lock()
        self._writing = Lock()
        self._waiting: deque[_Ticket] = deque()
        self._head: Head | None = None
        self._in_doubt: list[ChainedRow] = []
        self._is_closed = False

    def append(self, *entries: AuditEntry) -> None:
        """Come back when every entry is stored, in this order; calls that wait at the same time are one append.

        Raises:
            TransientError: UNAVAILABLE; whether they were stored is not known, and they are stored before anything newer.
            PermanentError: NOT_FOUND if there is no log; INVALID_ARGUMENT if a row was refused. Nothing was stored.
        """
        now = self._clock()
        ticket = _Ticket(tuple(_at(entry, now) for entry in entries))
        with self._arriving:
            self._waiting.append(ticket)
        with self._writing:
            while not ticket.is_settled:
                self._write(self._taken())
        if ticket.error is not None:
            raise ticket.error

    def flush(self) -> None:
        """Repeat what is in doubt, if anything is; errors are those of `append`."""
        with self._writing:
            self._settle_doubt()

    def close(self) -> None:
        """Say that this chain ends here, if it ever began; a failure is only logged, for nothing depends on it."""
        with self._writing:
            if self._head is None or self._is_closed:
                return
            try:
                self._settle_doubt()
                self._store([_of_the_writer(CLOSED)])
                self._is_closed = True
            except ConvergenceError as error:
                _log.warning("The audit log could not be told that its writer ends", code=str(error.code))

    def _taken(self) -> list[_Ticket]:
        """The tickets of the next append: as many as fit, at least one."""
        with self._arriving:
            taken = [self._waiting.popleft()]
            rows = len(taken[0].entries)
            while self._waiting and rows + len(self._waiting[0].entries) <= MOST_AT_ONCE:
                rows += len(self._waiting[0].entries)
                taken.append(self._waiting.popleft())
        return taken

    def _write(self, tickets: list[_Ticket]) -> None:
        try:
            self._settle_doubt()
            opening = [] if self._head else [self._opening()]
            self._store([*opening, *(entry for ticket in tickets for entry in ticket.entries)])
        except PermanentError as error:
            for ticket in tickets:
                ticket.settle(error if error.code in _NOT_STORED else _not_written(error))
        except BaseException as error:  # whoever waits must be told
            for ticket in tickets:
                ticket.settle(_not_written(error))
            if not isinstance(error, Exception):
                raise
        else:
            for ticket in tickets:
                ticket.settle()

    def _settle_doubt(self) -> None:
        if self._in_doubt:
            self._log.append(self._in_doubt)
            self._in_doubt = []

    def _store(self, entries: list[AuditEntry]) -> None:
        rows: list[ChainedRow] = []
        before = self._head
        for entry in entries:
            after = head_at(rows[-1]) if rows else before
            rows.append(chained(entry, self.writer_id, after, self._environment, self._clock()))
        if not rows:
            return
        self._head, self._in_doubt = head_at(rows[-1]), rows
        try:
            self._log.append(rows)
        except PermanentError as error:
            if error.code in _NOT_STORED:
                self._head, self._in_doubt = before, []
            raise
        self._in_doubt = []

    def _opening(self) -> AuditEntry:
        heads = self._log.heads_to_anchor(self._clock() - ANCHORED_WITHIN)
        return _of_the_writer(
            OPENED, {ANCHORS: [[head.writer_id, head.sequence, head.row_hash] for head in heads]}
        )


def _of_the_writer(action: str, details: dict[str, object] | None = None) -> AuditEntry:
    return AuditEntry(action, Actor(ActorKind.SYSTEM, "audit"), Outcome.SUCCEEDED, details=details or {})


def _at(entry: AuditEntry, now: datetime) -> AuditEntry:
    return entry if entry.recorded_at else replace(entry, recorded_at=now)


def _not_written(error: BaseException) -> TransientError:
    failure = TransientError(
        ErrorCode.UNAVAILABLE,
        "Try again in a few seconds: the audit row could not be written, and nothing counts as done without one.",
    )
    failure.__cause__ = error
    return failure
