"""What is done between two rows, over a list instead of a log."""

from dataclasses import dataclass, field, replace

import pytest

from convergence_orchestration.audit.acts import recorded
from convergence_orchestration.audit.model import AuditEntry, Outcome
from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration_tests.audit.builders import T0, ListSink, entry

ACT = entry("admin_key.add", outcome=Outcome.ATTEMPTED)
NO_TABLE = PermanentError(ErrorCode.NOT_FOUND, "There is no such table.")
DENIED = PermanentError(ErrorCode.PERMISSION_DENIED, "Grant the role.")


def unwritten() -> TransientError:
    """As `AuditWriter` raises it."""
    failure = TransientError(ErrorCode.UNAVAILABLE, "Try again: the row could not be written.")
    failure.__cause__ = DENIED
    return failure


@dataclass
class FailingSink(ListSink):
    """Fails as told at each append in turn; None lets it through, and so does the end of the list."""

    failures: list[ConvergenceError | None] = field(default_factory=list)

    def append(self, *entries: AuditEntry) -> None:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        super().append(*entries)


def told(sink: ListSink) -> list[tuple[Outcome, ErrorCode | None]]:
    return [(each.outcome, each.error_code) for each in sink.entries]


def test_an_act_is_recorded_before_it_begins_and_when_it_has_ended_with_what_it_tells() -> None:
    sink = ListSink()
    with recorded(sink, ACT, lambda: T0) as details:
        assert sink.entries == [replace(ACT, recorded_at=T0)]
        details["version"] = 1
    assert told(sink) == [(Outcome.ATTEMPTED, None), (Outcome.SUCCEEDED, None)]
    assert sink.entries[1].details == {"version": 1}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermanentError(ErrorCode.ALREADY_EXISTS, "Choose another name."), ErrorCode.ALREADY_EXISTS),
        (ValueError(), ErrorCode.INTERNAL),
        (KeyboardInterrupt(), ErrorCode.UNAVAILABLE),
    ],
)
@pytest.mark.parametrize("is_told", [True, False])
def test_an_act_that_fails_says_why_also_where_the_log_cannot_be_told(
    error: BaseException, code: ErrorCode, *, is_told: bool
) -> None:
    sink = FailingSink(failures=[None, None if is_told else unwritten()])
    with pytest.raises(type(error)), recorded(sink, ACT, lambda: T0):
        raise error
    assert told(sink) == [(Outcome.ATTEMPTED, None)] + [(Outcome.FAILED, code)] * is_told


@pytest.mark.parametrize(
    ("failure", "code", "words"),
    [
        (unwritten(), ErrorCode.UNAVAILABLE, "Grant the role. Nothing was done"),
        (NO_TABLE, ErrorCode.NOT_BOOTSTRAPPED, "Bootstrap the platform first"),
        (DENIED, ErrorCode.PERMISSION_DENIED, "Grant the role"),
    ],
)
def test_without_its_first_row_nothing_is_done(
    failure: ConvergenceError, code: ErrorCode, words: str
) -> None:
    sink = FailingSink(failures=[failure])
    with pytest.raises(ConvergenceError, match=words) as raised, recorded(sink, ACT, lambda: T0):
        pytest.fail("it was done")
    assert raised.value.code is code
    assert sink.entries == []


def test_without_its_second_row_it_fails_and_says_that_it_was_done() -> None:
    sink = FailingSink(failures=[None, unwritten()])
    with pytest.raises(TransientError, match="it was done") as raised, recorded(sink, ACT, lambda: T0):
        pass
    assert raised.value.message.endswith("Grant the role.")
    assert told(sink) == [(Outcome.ATTEMPTED, None)]


def test_what_comes_before_there_is_a_log_has_its_rows_if_it_is_there_at_the_end() -> None:
    sink = FailingSink(failures=[NO_TABLE])
    with recorded(sink, ACT, lambda: T0, lambda: pytest.fail("there was a log")):
        assert sink.entries == []
    assert told(sink) == [(Outcome.ATTEMPTED, None), (Outcome.SUCCEEDED, None)]
    assert sink.entries[0].recorded_at == T0


def test_what_comes_before_there_is_a_log_is_done_without_rows() -> None:
    sink = FailingSink(failures=[NO_TABLE, NO_TABLE])
    told_of: list[str] = []
    with recorded(sink, ACT, lambda: T0, lambda: told_of.append("no log")):
        assert told_of == []
    assert sink.entries == []
    assert told_of == ["no log"]


def test_a_log_that_goes_meanwhile_is_missed() -> None:
    sink = FailingSink(failures=[None, NO_TABLE])
    with pytest.raises(PermanentError, match="Bootstrap"), recorded(sink, ACT, lambda: T0):
        pass
