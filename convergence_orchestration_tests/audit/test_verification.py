from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.audit.chain import head_at
from convergence_orchestration.audit.model import ChainedRow, Head
from convergence_orchestration.audit.verification import Verification, Wrong, anchors_of, verify
from convergence_orchestration_tests.audit.builders import chain, closed_chain, forged

ACTIONS = ("a", "b", "c", "d")


def wrong(*rows: ChainedRow) -> list[tuple[Wrong, int]]:
    return [(finding.wrong, finding.sequence) for finding in verify(rows)]


def test_chains_that_nobody_touched_are_whole() -> None:
    one = closed_chain("w1", *ACTIONS)
    assert verify([*one, *chain("w2", "a", anchors=[head_at(one[-1])])]) == []
    assert verify([]) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "mallory"),
        ("outcome", "REFUSED"),
        ("tenant_id", None),
        ("status_code", 200),
        ("previous_hash", "0" * 64),
        ("row_hash", "0" * 64),
    ],
)
def test_a_changed_row_is_found(column: str, value: object) -> None:
    rows = closed_chain("w", *ACTIONS)
    changes: dict[str, Any] = {column: value}
    rows[2] = replace(rows[2], **changes)

    assert (Wrong.CHANGED, 3) in wrong(*rows)


def test_a_changed_row_with_a_new_hash_does_not_fit_the_row_behind_it() -> None:
    rows = closed_chain("w", *ACTIONS)
    rows[2] = forged(rows[2], actor="mallory")

    assert wrong(*rows) == [(Wrong.REMOVED, 4)]


def test_removed_rows_are_named() -> None:
    rows = closed_chain("w", *ACTIONS)

    assert [finding.sentence for finding in verify(rows[:1] + rows[3:])] == [
        "Between two rows of w rows 2 to 3 are missing."
    ]
    assert [finding.sentence for finding in verify(rows[:2] + rows[3:])] == [
        "Between two rows of w row 3 is missing."
    ]


def test_a_missing_head_is_told_with_where_to_look() -> None:
    (finding,) = verify(closed_chain("w", *ACTIONS)[3:])

    assert (finding.wrong, finding.sequence) == (Wrong.MISSING_HEAD, 4)
    assert finding.sentence == (
        "Look into the snapshots of audit_log: w begins with row 4, the rows before 4 are not there."
    )


def test_a_first_row_that_follows_another_is_found() -> None:
    rows = chain("w")
    assert (Wrong.REMOVED, 1) in wrong(forged(rows[0], previous_hash="0" * 64))


def test_the_same_row_twice_is_harmless_and_another_row_in_its_place_is_not() -> None:
    rows = closed_chain("w", *ACTIONS)

    assert verify([*rows, rows[2], rows[2], rows[-1]]) == []
    assert (Wrong.TWO_ROWS, 3) in wrong(*rows, forged(rows[2], actor="mallory"))


def test_a_row_under_the_id_of_another_is_found() -> None:
    rows = chain("w", "a")
    assert (Wrong.MISPLACED, 2) in wrong(rows[0], forged(rows[1], event_id="w.7"))


def test_a_removed_tail_is_found_by_who_came_later() -> None:
    rows = closed_chain("w1", *ACTIONS)
    later = closed_chain("w2", anchors=[head_at(rows[-1])])

    assert verify(rows[:-2]) == [], "nobody has seen the tail"
    (finding,) = verify([*rows[:-2], *later])
    assert (finding.wrong, finding.writer_id, finding.sequence) == (Wrong.NOT_AS_ANCHORED, "w1", 6)
    assert finding.sentence == "Row 6 of w1 was there when w2 began, but w1 ends with row 4."


def test_a_writer_that_is_gone_altogether_is_found() -> None:
    (finding,) = verify(closed_chain("w2", anchors=[Head("w1", 5, "0" * 64)]))
    assert finding.sentence == "Row 5 of w1 was there when w2 began, but no row of w1 is there."


def test_a_chain_that_was_written_anew_is_not_as_anchored() -> None:
    anchor = head_at(chain("w1", *ACTIONS)[-1])
    anew = chain("w1", "a", "b", "c", "something else")

    assert wrong(*anew, *closed_chain("w2", anchors=[anchor])) == [(Wrong.NOT_AS_ANCHORED, 5)]


@pytest.mark.parametrize(
    "details", [None, "{}", "not json", '{"anchors": 7}', '{"anchors": [["w", "x", 1]]}', "[]"]
)
def test_an_opening_that_cannot_be_read_anchors_nothing_and_was_changed(details: str | None) -> None:
    rows = chain("w", "a")
    rows[0] = replace(rows[0], details=details)

    assert list(anchors_of(rows)) == []
    assert wrong(*rows) == [(Wrong.CHANGED, 1)]


def test_a_chain_without_an_end_is_a_note_and_no_finding() -> None:
    verification = Verification()
    for row in [*closed_chain("w1"), *chain("w2", "a")]:
        verification.see(row)
    verification.finish()

    assert verification.findings == []
    assert verification.notes == ["w2 ended without closing, or still writes: row 2."]
    assert (verification.rows, verification.writers) == (4, 2)


@given(st.integers(0, 4), st.sampled_from(["change", "remove", "reorder", "forge"]), st.integers(1, 5))
def test_any_single_change_in_the_middle_is_found(place: int, how: str, others: int) -> None:
    rows = closed_chain("w", *(f"action {number}" for number in range(others + 4)))
    untouched = closed_chain("v", "a")
    if how == "remove":
        del rows[place]
    elif how == "change":
        rows[place] = replace(rows[place], recorded_at=rows[place].recorded_at + timedelta(microseconds=1))
    elif how == "forge":
        rows[place] = forged(rows[place], actor="mallory")
    else:
        one, other = rows[place], rows[place + 1]
        rows[place] = forged(
            other, sequence=one.sequence, previous_hash=one.previous_hash, event_id=one.event_id
        )
        rows[place + 1] = forged(
            one, sequence=other.sequence, previous_hash=rows[place].row_hash, event_id=other.event_id
        )

    findings = verify([*rows, *untouched])

    assert findings
    assert {finding.writer_id for finding in findings} == {"w"}
