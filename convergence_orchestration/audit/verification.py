"""Whether the log is whole: every chain is followed row by row, and every anchor is looked up.

What belongs here: the rules, without I/O. A chain needs no more memory than its last row and its anchors. What it cannot
find: the newest rows of a chain removed before any other writer has anchored them.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from convergence_orchestration.audit.chain import head_at, row_hash
from convergence_orchestration.audit.model import ANCHORS, CLOSED, OPENED, ChainedRow, Head


class Wrong(StrEnum):
    """What can be wrong with a row."""

    CHANGED = "changed"
    REMOVED = "removed"
    MISSING_HEAD = "missing head"
    TWO_ROWS = "two rows in one place"
    MISPLACED = "misplaced"
    NOT_AS_ANCHORED = "not as anchored"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: with which writer's chain, at which sequence, and the sentence for a person."""

    wrong: Wrong
    writer_id: str
    sequence: int
    sentence: str


@dataclass(frozen=True)
class Anchor:
    """A head as another writer recorded it when it opened its own chain."""

    head: Head
    recorded_by: str


@dataclass
class _Chain:
    """How far one writer's rows have been followed."""

    last: ChainedRow
    repeats: int = 0


@dataclass
class Verification:
    """Give it every anchor first, then every row ordered by writer and sequence; then ask for `finish`.

    Attributes:
        findings: what is wrong so far.
        notes: writers whose chain ends without `audit.closed`: they still write, or were killed. That is nothing wrong.
        rows, writers: how many were checked; a row that is there twice counts twice.
    """

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rows: int = 0
    writers: int = 0
    _anchors: dict[str, dict[int, list[Anchor]]] = field(default_factory=dict)
    _chain: _Chain | None = None

    def expect(self, anchors: Iterable[Anchor]) -> None:
        """Remember what rows must be there."""
        for anchor in anchors:
            by_sequence = self._anchors.setdefault(anchor.head.writer_id, {})
            by_sequence.setdefault(anchor.head.sequence, []).append(anchor)

    def see(self, row: ChainedRow) -> None:
        """Check the next row."""
        self.rows += 1
        if self._chain is None or self._chain.last.writer_id != row.writer_id:
            self._end_chain()
            self.writers += 1
            self._begin_chain(row)
        else:
            self._follow(self._chain, row)

    def finish(self) -> None:
        """Say what is missing now that every row was seen."""
        self._end_chain()
        for writer_id in sorted(self._anchors):
            self._miss(writer_id, self._anchors[writer_id], f"no row of {writer_id} is there")
        self._anchors.clear()

    def _begin_chain(self, row: ChainedRow) -> None:
        self._chain = _Chain(row)
        if row.sequence != 1:
            self._find(
                Wrong.MISSING_HEAD,
                row,
                f"Look into the snapshots of audit_log: {row.writer_id} begins with row {row.sequence}, "
                f"the rows before {row.sequence} are not there.",
            )
        elif row.previous_hash is not None:
            self._find(
                Wrong.REMOVED, row, f"Row 1 of {row.writer_id} names a row before it, which is not there."
            )
        self._check_alone(row)

    def _follow(self, chain: _Chain, row: ChainedRow) -> None:
        last = chain.last
        if row == last:
            chain.repeats += 1
            return
        if row.sequence == last.sequence:
            self._find(
                Wrong.TWO_ROWS,
                row,
                f"Two different rows of {row.writer_id} say that they are row {row.sequence}.",
            )
        elif row.sequence != last.sequence + 1:
            first, final = last.sequence + 1, row.sequence - 1
            gone = f"row {first} is" if first == final else f"rows {first} to {final} are"
            self._find(Wrong.REMOVED, row, f"Between two rows of {row.writer_id} {gone} missing.")
        elif row.previous_hash != last.row_hash:
            self._find(
                Wrong.REMOVED,
                row,
                f"Row {row.sequence} of {row.writer_id} follows another row than the row {last.sequence} that is there.",
            )
        self._check_alone(row)
        chain.last = row

    def _check_alone(self, row: ChainedRow) -> None:
        if row_hash(row) != row.row_hash:
            self._find(
                Wrong.CHANGED,
                row,
                f"Row {row.sequence} of {row.writer_id} was changed: its hash does not fit it.",
            )
        if row.event_id != f"{row.writer_id}.{row.sequence}":
            self._find(
                Wrong.MISPLACED, row, f"Row {row.sequence} of {row.writer_id} carries the id of another row."
            )
        for anchor in self._anchors.get(row.writer_id, {}).pop(row.sequence, []):
            if anchor.head != head_at(row):
                self._find(
                    Wrong.NOT_AS_ANCHORED,
                    row,
                    f"Row {row.sequence} of {row.writer_id} is not the one that {anchor.recorded_by} saw there.",
                )

    def _end_chain(self) -> None:
        if self._chain is None:
            return
        last, self._chain = self._chain.last, None
        missed = self._anchors.pop(last.writer_id, {})
        self._miss(last.writer_id, missed, f"{last.writer_id} ends with row {last.sequence}")
        if last.action != CLOSED:
            self.notes.append(
                f"{last.writer_id} ended without closing, or still writes: row {last.sequence}."
            )

    def _miss(self, writer_id: str, anchors: dict[int, list[Anchor]], but: str) -> None:
        """What was anchored and is in no row; rows between two others are told as missing already."""
        for sequence in sorted(anchors):
            for anchor in anchors[sequence]:
                sentence = (
                    f"Row {sequence} of {writer_id} was there when {anchor.recorded_by} began, but {but}."
                )
                self.findings.append(Finding(Wrong.NOT_AS_ANCHORED, writer_id, sequence, sentence))

    def _find(self, wrong: Wrong, row: ChainedRow, sentence: str) -> None:
        self.findings.append(Finding(wrong, row.writer_id, row.sequence, sentence))


def verify(rows: Sequence[ChainedRow]) -> list[Finding]:
    """What is wrong with these rows, whatever their order; empty if they are whole."""
    verification = Verification()
    verification.expect(anchors_of(rows))
    for row in sorted(rows, key=lambda each: (each.writer_id, each.sequence, each.row_hash)):
        verification.see(row)
    verification.finish()
    return verification.findings


def anchors_of(rows: Iterable[ChainedRow]) -> Iterator[Anchor]:
    """The anchors in these rows; what cannot be read is none, and its row is found to be changed."""
    for row in rows:
        if row.action == OPENED:
            for head in _heads(row.details):
                yield Anchor(head, row.writer_id)


def _heads(details: str | None) -> Iterator[Head]:
    try:
        for writer_id, sequence, found_hash in json.loads(details or "{}")[ANCHORS]:
            yield Head(str(writer_id), int(sequence), str(found_hash))
    except (ValueError, KeyError, TypeError):
        return
