"""Rows that no call waits for: bounded, in batches, and counted where they are too many."""

from typing import cast

import pytest

from convergence_orchestration.api.audit_writing import MOST_WAITING, LaterRows
from convergence_orchestration.audit.model import OPENED
from convergence_orchestration.audit.verification import verify
from convergence_orchestration.audit.writer import AuditWriter
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.settings import Environment
from convergence_orchestration_tests.audit.builders import T0, ListedTable, entry

LOST = TransientError(ErrorCode.UNAVAILABLE, "no answer")


def later_into(table: ListedTable) -> LaterRows:
    writer = AuditWriter(cast("BigQuery", table), "w", Environment.DEVELOPMENT, lambda: T0)
    return LaterRows(writer, lambda: T0)


def actions(table: ListedTable) -> list[str]:
    return [row.action for row in table.stored() if row.action != OPENED]


def test_what_is_noted_is_written_in_batches() -> None:
    table = ListedTable()
    later = later_into(table)
    for number in range(450):
        later.note(entry(f"refused {number}"))
    while len(actions(table)) < 450:
        assert later.write()
    assert actions(table) == [f"refused {number}" for number in range(450)]
    assert table.appends == [301, 150]
    assert later.write(), "nothing waits"
    assert verify(table.stored()) == []


def test_beyond_a_bound_calls_are_counted_in_one_row() -> None:
    table = ListedTable()
    later = later_into(table)
    for _ in range(MOST_WAITING + 77):
        later.note(entry("refused"))
    for _ in range(5):
        later.write()
    rows = table.stored()
    assert len(rows) == 1 + MOST_WAITING + 1
    assert (rows[-1].action, rows[-1].details) == ("audit.refused_calls", '{"more_refused_calls":77}')


@pytest.mark.parametrize("error", [LOST, PermanentError(ErrorCode.NOT_FOUND, "no table")])
def test_what_could_not_be_written_waits_on_within_the_bound(error: Exception) -> None:
    table = ListedTable(failures=[(error, False)])
    later = later_into(table)
    for number in range(10):
        later.note(entry(f"refused {number}"))
    assert not later.write()
    for _ in range(MOST_WAITING):
        later.note(entry("more"))
    for _ in range(6):
        later.write()
    found = actions(table)
    assert [action for action in dict.fromkeys(found) if action.startswith("refused")] == [
        f"refused {number}" for number in range(10)
    ]
    assert found[-1] == "audit.refused_calls"
    assert verify(table.stored()) == []


def test_rows_that_are_refused_do_not_hold_up_those_behind_them() -> None:
    table = ListedTable(failures=[(PermanentError(ErrorCode.INVALID_ARGUMENT, "a row does not fit"), False)])
    later = later_into(table)
    later.note(entry("poisoned"))
    assert later.write()
    later.note(entry("good"))
    assert later.write()
    assert actions(table) == ["good"]


def test_the_thread_writes_what_still_waits_when_it_is_stopped() -> None:
    table = ListedTable()
    later = later_into(table)
    later.stop()
    later = later_into(table)
    later.start()
    later.note(entry("last"))
    later.stop()
    assert actions(table) == ["last"]


def test_a_defect_does_not_end_the_thread() -> None:
    table = ListedTable()
    later = later_into(table)

    def broken() -> None:
        raise ValueError("a defect")

    later._taken = broken  # type: ignore[method-assign, assignment] # noqa: SLF001 nothing else can raise there
    later.start()
    later.note(entry("lost"))
    later.stop()
    assert actions(table) == []
