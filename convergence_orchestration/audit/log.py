"""The table `tenants.audit_log`: rows are appended and read, never changed.

What belongs here: the statements. What a row means is `model.py`, whether rows are whole is `verification.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from google.cloud.bigquery import Row, ScalarQueryParameter

from convergence_orchestration.audit.chain import columns_of
from convergence_orchestration.audit.model import ChainedRow, Head, Outcome
from convergence_orchestration.gcp.bigquery import BigQuery, Parameters
from convergence_orchestration.warehouse.model import CENTRAL_DATASET

TABLE = "audit_log"
MOST_ANCHORS = 1000
"""Heads in one opening row; what is beyond them is anchored by the next ones."""

_HERE = Path(__file__)
_HEADS = _HERE.with_name("heads_to_anchor.sql").read_text(encoding="utf-8")
_OPENINGS = _HERE.with_name("openings.sql").read_text(encoding="utf-8")
_IN_ORDER = _HERE.with_name("rows_in_order.sql").read_text(encoding="utf-8")
_PAGE = _HERE.with_name("page.sql").read_text(encoding="utf-8")

_COLUMNS = tuple(each.name for each in fields(ChainedRow))
_THE_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_THE_END = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class AuditFilter:
    """Which rows a page shows; None filters nothing. `since` is included, `until` is not; both are UTC."""

    tenant_id: str | None = None
    actor: str | None = None
    action: str | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditLog:
    """The log, over one BigQuery. Errors are those of `gcp.bigquery`; NOT_FOUND before the bootstrap."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bigquery = bigquery

    def append(self, rows: Sequence[ChainedRow]) -> None:
        """Store the rows; repeated within a minute they are stored once, later perhaps twice, which is harmless."""
        self._bigquery.append(CENTRAL_DATASET, TABLE, [columns_of(row) for row in rows])

    def heads_to_anchor(self, since: datetime) -> list[Head]:
        """The last row of each chain that wrote since then, unless it is anchored already; at most MOST_ANCHORS."""
        parameters: Parameters = [
            ScalarQueryParameter("since", "TIMESTAMP", since),
            ScalarQueryParameter("most", "INT64", MOST_ANCHORS),
        ]
        found = self._bigquery.query(_HEADS, parameters)
        return sorted(Head(row["writer_id"], row["sequence"], row["row_hash"]) for row in found)

    def page(
        self, limit: int, wanted: AuditFilter, before: tuple[datetime, str] | None = None
    ) -> list[ChainedRow]:
        """At most `limit` rows, the newest first, behind the one whose time and event id `before` names."""
        before_time, before_event_id = before or (_THE_END, "")
        parameters: Parameters = [
            _text("tenant_id", wanted.tenant_id),
            _text("actor", wanted.actor),
            _text("action", wanted.action),
            _text("outcome", wanted.outcome),
            ScalarQueryParameter("since", "TIMESTAMP", wanted.since or _THE_BEGINNING),
            ScalarQueryParameter("until", "TIMESTAMP", wanted.until or _THE_END),
            ScalarQueryParameter("before_time", "TIMESTAMP", before_time),
            _text("before_event_id", before_event_id),
            ScalarQueryParameter("page_size", "INT64", limit),
        ]
        return [row_of(row) for row in self._bigquery.query(_PAGE, parameters)]

    def openings(self) -> Iterator[ChainedRow]:
        """Every row that opened a chain, with its anchors, page by page."""
        return map(row_of, self._bigquery.stream(_OPENINGS))

    def in_order(self) -> Iterator[ChainedRow]:
        """Every row, ordered by writer and sequence, page by page; one that is stored twice comes twice."""
        return map(row_of, self._bigquery.stream(_IN_ORDER))


def row_of(row: Row) -> ChainedRow:
    """A row as BigQuery gives it."""
    return ChainedRow(**{name: row[name] for name in _COLUMNS})


def _text(name: str, value: str | None) -> ScalarQueryParameter:
    return ScalarQueryParameter(name, "STRING", str(value or ""))
