"""The ledger as it is followed: the days of the overlapping window by `tabledata.list`, which costs nothing.

A query bills 10 MB at least: 50 processes that look every 2 s would cost about 130 dollars a day. Listing shows what was
written by a statement at once, and leaves out what is in BigQuery's streaming buffer: so the ledger must be written by
`ledger_inserting.py`. What belongs here: which partitions are read, and when a query is better.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from google.cloud.bigquery import Row

from convergence_orchestration.errors import ConvergenceError, ErrorCode
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.keys.model import KeyEvent
from convergence_orchestration.logs import logger
from convergence_orchestration.warehouse.catalogue import central_tables, to_bigquery
from convergence_orchestration.warehouse.model import CENTRAL_DATASET

MAX_LISTED: Final = 5_000
"""Rows of a look above which the next one is a query: 50 processes that look every 2 s may list 150,000 rows a second."""

CLOCKS_DIFFER: Final = timedelta(minutes=5)
"""A writer's clock may be so far ahead of ours, so near midnight tomorrow's partition is read too."""

_TABLE: Final = "api_key_events"
_log = logger(__name__)


class Ledger(Protocol):
    """The ledger by queries."""

    def all(self) -> Sequence[KeyEvent]:
        """Every event there is."""

    def events_since(self, since: datetime) -> Sequence[KeyEvent]:
        """Every event recorded at or after `since`."""


class ListedLedger:
    """`ledger`, with the events of the last days read by listing; for a `LedgerFollower`.

    Args:
        bigquery: where the ledger is.
        ledger: asked for everything, and for a window that is not listed.
        event_of: the event that a row is.
        clock: the time now, UTC.
        max_listed: see MAX_LISTED.
    """

    def __init__(
        self,
        bigquery: BigQuery,
        ledger: Ledger,
        event_of: Callable[[Row], KeyEvent],
        clock: Callable[[], datetime],
        max_listed: int = MAX_LISTED,
    ) -> None:
        self._bigquery = bigquery
        self._ledger = ledger
        self._event_of = event_of
        self._clock = clock
        self._max_listed = max_listed
        self._too_many_on: str | None = None
        (spec,) = (table for table in central_tables() if table.name == _TABLE)
        self._columns = to_bigquery(spec, bigquery.project, CENTRAL_DATASET).schema

    def all(self) -> Sequence[KeyEvent]:
        """Every event there is, by a query."""
        return self._ledger.all()

    def events_since(self, since: datetime) -> Sequence[KeyEvent]:
        """Every event recorded at or after `since`, in no order; one that was written twice may come twice."""
        days = partitions(since, self._clock())
        if self._too_many_on == days[-1]:
            return self._ledger.events_since(since)
        try:
            rows = [row for day in days for row in self._listed(day)]
        except ConvergenceError as error:
            if error.code not in {ErrorCode.NOT_FOUND, ErrorCode.INVALID_ARGUMENT}:
                raise
            # not bootstrapped yet, or a day without a partition: the query tells which
            return self._ledger.events_since(since)
        if len(rows) > self._max_listed:
            _log.warning("So many key events today that looks are queries, which cost money", rows=len(rows))
            self._too_many_on = days[-1]
        return [self._event_of(row) for row in rows if row["recorded_at"] >= since]

    def _listed(self, day: str) -> list[Row]:
        return self._bigquery.list_rows(CENTRAL_DATASET, f"{_TABLE}${day}", self._columns)


def partitions(since: datetime, now: datetime) -> list[str]:
    """The days, as partitions are named, in which events recorded since then may be, the oldest first."""
    first, last = since.astimezone(UTC).date(), (now + CLOCKS_DIFFER).astimezone(UTC).date()
    count = max(0, (last - first).days) + 1
    return [f"{first + timedelta(days=number):%Y%m%d}" for number in range(count)]
