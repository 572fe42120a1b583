from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from convergence_orchestration.audit.model import ANCHORS, CLOSED, OPENED, ActorKind, Head
from convergence_orchestration.audit.trail import AuditTrail
from convergence_orchestration.audit.verification import verify
from convergence_orchestration.audit.writer import AuditWriter, new_writer_id
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.settings import Environment
from convergence_orchestration_tests.audit.builders import T0, ListedTable, entry

LOST = TransientError(ErrorCode.UNAVAILABLE, "no answer")
REFUSED = PermanentError(ErrorCode.INVALID_ARGUMENT, "a row does not fit")
NO_TABLE = PermanentError(ErrorCode.NOT_FOUND, "no such table")
DENIED = PermanentError(ErrorCode.PERMISSION_DENIED, "no role")


def writer_to(table: ListedTable) -> AuditWriter:
    return AuditWriter(cast("BigQuery", table), "w", Environment.DEVELOPMENT, lambda: T0)


def actions(table: ListedTable) -> list[str]:
    return [row.action for row in table.stored()]


def test_nothing_is_written_before_the_first_entry() -> None:
    table = ListedTable()
    writer = writer_to(table)
    writer.flush()
    writer.close()
    assert table.appends == []


def test_the_first_entry_opens_the_chain_in_the_same_append_and_the_end_closes_it() -> None:
    table = ListedTable(heads=[Head("other", 7, "f" * 64)])
    writer = writer_to(table)
    AuditTrail(writer, ActorKind.SYSTEM).append(entry("a"), entry("b"))
    writer.append(entry("c"))
    writer.close()
    writer.close()

    assert actions(table) == [OPENED, "a", "b", "c", CLOSED]
    assert table.appends == [3, 1, 1]
    assert table.stored()[0].details == f'{{"{ANCHORS}":[["other",7,"{"f" * 64}"]]}}'
    assert [finding.writer_id for finding in verify(table.stored())] == ["other"]


@pytest.mark.parametrize("is_stored", [True, False])
def test_an_append_in_doubt_fails_its_caller_and_is_repeated_before_anything_newer(
    *, is_stored: bool
) -> None:
    table = ListedTable(failures=[None, (LOST, is_stored), (LOST, is_stored)])
    writer = writer_to(table)
    writer.append(entry("a"))
    for _ in range(2):
        with pytest.raises(TransientError, match="audit row could not be written") as failed:
            writer.append(entry("b"))
        assert failed.value.code is ErrorCode.UNAVAILABLE

    writer.append(entry("c"))

    assert verify(table.stored()) == []
    assert list(dict.fromkeys(actions(table))) == [OPENED, "a", "b", "c"]
    assert table.stored()[-1].sequence == 4, "the second b was never given a place"


def test_what_is_in_doubt_is_repeated_also_when_nobody_calls() -> None:
    table = ListedTable(failures=[(LOST, False)])
    writer = writer_to(table)
    with pytest.raises(TransientError):
        writer.append(entry("a"))
    writer.flush()
    assert actions(table) == [OPENED, "a"]


@pytest.mark.parametrize("error", [REFUSED, NO_TABLE])
def test_an_append_that_was_refused_leaves_no_gap(error: PermanentError) -> None:
    table = ListedTable(failures=[None, (error, False)])
    writer = writer_to(table)
    writer.append(entry("a"))
    with pytest.raises(PermanentError) as failed:
        writer.append(entry("b"))
    assert failed.value is error

    writer.append(entry("c"))

    assert actions(table) == [OPENED, "a", "c"]
    assert verify(table.stored()) == []


def test_a_missing_role_leaves_it_in_doubt_for_an_earlier_attempt_may_have_got_through() -> None:
    table = ListedTable(failures=[(DENIED, True)])
    writer = writer_to(table)
    with pytest.raises(TransientError):
        writer.append(entry("a"))
    writer.append(entry("b"))
    assert verify(table.stored()) == []


def test_a_defect_fails_its_caller_and_leaves_it_in_doubt() -> None:
    table = ListedTable(failures=[(ValueError("a defect"), True)])
    writer = writer_to(table)
    with pytest.raises(TransientError) as failed:
        writer.append(entry("a"))
    assert isinstance(failed.value.__cause__, ValueError)
    writer.append(entry("b"))
    assert verify(table.stored()) == []


def test_an_interrupt_reaches_whoever_waits() -> None:
    table = ListedTable(failures=[(cast("Exception", KeyboardInterrupt()), False)])
    with pytest.raises(KeyboardInterrupt):
        writer_to(table).append(entry("a"))


def test_a_chain_that_cannot_be_closed_is_left_open() -> None:
    table = ListedTable(failures=[None, (LOST, False), None])
    writer = writer_to(table)
    writer.append(entry("a"))
    writer.close()
    assert actions(table) == [OPENED, "a"]
    writer.append(entry("b"))
    assert verify(table.stored()) == []


def test_entries_that_come_at_once_are_few_appends_and_one_whole_chain() -> None:
    table = ListedTable()
    writer = writer_to(table)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: writer.append(entry(f"action {number}")), range(500)))

    assert sorted(actions(table)) == sorted([OPENED, *(f"action {number}" for number in range(500))])
    assert [row.sequence for row in table.stored()] == list(range(1, 502))
    assert verify(table.stored()) == []


def test_more_than_one_append_holds_goes_in_several() -> None:
    table = ListedTable()
    writer = writer_to(table)
    blocked = writer._writing  # noqa: SLF001 so that all of them wait at once
    with ThreadPoolExecutor(30) as pool:
        with blocked:
            waiting = [pool.submit(writer.append, *(entry() for _ in range(50))) for _ in range(20)]
            while len(writer._waiting) < 20:  # noqa: SLF001
                pass
        for each in waiting:
            each.result()

    assert table.appends == [401, 400, 200]
    assert verify(table.stored()) == []


def test_no_two_writers_have_one_id() -> None:
    first, second = new_writer_id("api"), new_writer_id("api")
    assert first.startswith("api:")
    assert first != second
