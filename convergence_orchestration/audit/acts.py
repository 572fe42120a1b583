"""Something that is done between two rows: ATTEMPTED before it begins, and how it ended behind it.

What belongs here: the order, and what happens while there is no log yet. Who acts, and what the rows say, is the business of
whoever acts: a run (`resources.py`), a command.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from convergence_orchestration.audit.model import AuditEntry, AuditSink, Outcome
from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.logs import logger

_log = logger(__name__)


def begin(sink: AuditSink, attempted: AuditEntry, *, needs_log: bool) -> list[AuditEntry]:
    """Record that it begins; what could not be recorded yet because there is no log.

    Raises:
        PermanentError: NOT_BOOTSTRAPPED: there is no log and it needs one.
        ConvergenceError: it could not be recorded, and must not begin.
    """
    try:
        sink.append(attempted)
    except PermanentError as error:
        if error.code is not ErrorCode.NOT_FOUND:
            raise
        if needs_log:
            raise _no_log() from error
        return [attempted]
    return []


def end(sink: AuditSink, held: list[AuditEntry], ended: AuditEntry, *, needs_log: bool) -> bool:
    """Record how it ended, behind what `begin` gave back; False if there still is no log, which it does not need.

    Raises:
        PermanentError: NOT_BOOTSTRAPPED: there is no log and it needs one.
        ConvergenceError: it could not be recorded, and must not count as done.
    """
    try:
        sink.append(*held, ended)
    except PermanentError as error:
        if error.code is not ErrorCode.NOT_FOUND:
            raise
        if needs_log:
            raise _no_log() from error
        return False
    return True


def end_anyhow(sink: AuditSink, held: list[AuditEntry], ended: AuditEntry) -> None:
    """Record the outcome of what is being interrupted or failed; what keeps it from that must not hide the reason."""
    try:
        sink.append(*held, ended)
    except ConvergenceError as failure:
        _log.error(
            "An outcome could not be recorded.",
            action=ended.action,
            run_id=ended.run_id,
            reason=failure.message,
        )


@contextmanager
def recorded(
    sink: AuditSink,
    act: AuditEntry,
    clock: Callable[[], datetime],
    if_no_log: Callable[[], None] | None = None,
) -> Iterator[dict[str, object]]:
    """The act inside the block between its rows; what is put into the dictionary are details of the second one.

    Args:
        sink: what records it.
        act: what both rows say.
        clock: the time now, UTC.
        if_no_log: given for an act that may come before there is a log; called behind one that left no row for that.

    Raises:
        PermanentError: NOT_BOOTSTRAPPED: there is no log and it needs one; nothing was done.
        TransientError: UNAVAILABLE: a row could not be written; it says whether anything was done.
    """
    needs_log = if_no_log is None
    attempted = replace(act, outcome=Outcome.ATTEMPTED, recorded_at=clock())
    try:
        held = begin(sink, attempted, needs_log=needs_log)
    except TransientError as error:
        raise _not_begun(error) from error
    details: dict[str, object] = {}
    try:
        yield details
    except BaseException as error:
        failed = replace(act, outcome=Outcome.FAILED, error_code=_code_of(error), details=details)
        end_anyhow(sink, held, failed)
        raise
    done = replace(act, outcome=Outcome.SUCCEEDED, details=details)
    try:
        is_stored = end(sink, held, done, needs_log=needs_log)
    except TransientError as error:
        raise _not_ended(error) from error
    if not is_stored and if_no_log is not None:
        if_no_log()


def _code_of(error: BaseException) -> ErrorCode:
    if isinstance(error, ConvergenceError):
        return error.code
    return ErrorCode.INTERNAL if isinstance(error, Exception) else ErrorCode.UNAVAILABLE  # it was interrupted


def _not_begun(error: TransientError) -> TransientError:
    return TransientError(
        error.code,
        f"{_cause(error)} Nothing was done, for the audit log could not be written.",
        error.details,
    )


def _not_ended(error: TransientError) -> TransientError:
    return TransientError(
        error.code,
        "Look at what there is before you do it again: it was done, but the audit log could not be told so. "
        + _cause(error),
        error.details,
    )


def _cause(error: TransientError) -> str:
    cause = error.__cause__
    return cause.message if isinstance(cause, ConvergenceError) else error.message


def _no_log() -> PermanentError:
    return PermanentError(
        ErrorCode.NOT_BOOTSTRAPPED,
        "Bootstrap the platform first, with the job `bootstrap`: there is no audit log, and nothing is done without one.",
    )
