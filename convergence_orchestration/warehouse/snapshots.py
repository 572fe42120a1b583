"""Snapshots of tables, taken before anything is deleted.

What belongs here: naming, taking and checking them. Deleting is `bootstrap.py`.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.warehouse.model import (
    CENTRAL_DATASET,
    MAX_CONCURRENT_CALLS,
    SNAPSHOT_DATASET,
    SNAPSHOT_KEPT,
)

_WITHOUT_ROWS_OF_THEIR_OWN = frozenset({"VIEW", "MATERIALIZED_VIEW", "EXTERNAL"})


@dataclass(frozen=True)
class SnapshotSet:
    """Where snapshots come from and go to; times are UTC.

    Attributes:
        source: the tables' dataset.
        destination: the snapshots' dataset, which is made if it is missing.
        prefix: stands before each snapshot's name, so that several datasets' tables go to one.
        taken_at: part of each name, to the second: the same set taken again finds what it took before.
        expires_at: BigQuery deletes them by itself then.
    """

    source: str
    destination: str
    prefix: str
    taken_at: datetime
    expires_at: datetime

    def name_of(self, table: str) -> str:
        """`dataset.table` of a table's snapshot."""
        return f"{self.destination}.{self.prefix}{table}_{self.taken_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def snapshot_central_tables(bigquery: BigQuery, names: Iterable[str], now: datetime) -> dict[str, str]:
    """Snapshot those of the central tables that exist, as `snapshot_tables`."""
    central = SnapshotSet(CENTRAL_DATASET, SNAPSHOT_DATASET, "", now, now + SNAPSHOT_KEPT)
    return snapshot_tables(bigquery, central, names)


def snapshot_tables(bigquery: BigQuery, wanted: SnapshotSet, names: Iterable[str]) -> dict[str, str]:
    """Snapshot those of the tables that exist, also empty ones; `dataset.table` of each snapshot by name.

    Either every snapshot is there afterwards and has every row, or an error is raised and nothing was changed.

    Raises:
        PermanentError: FAILED_PRECONDITION for a thing that cannot be copied so.
        TransientError: DATA_CORRUPTED if a snapshot has fewer rows than its table.
    """
    to_copy = [name for name in sorted(names) if _has_rows_to_keep(bigquery, wanted.source, name)]
    if not to_copy:
        return {}
    bigquery.create_dataset(
        wanted.destination,
        description="Snapshots of tables, taken before they were deleted.",
        labels={"managed_by": "convergence-orchestration"},
    )
    with ThreadPoolExecutor(MAX_CONCURRENT_CALLS) as pool:
        taken = list(pool.map(lambda name: _take(bigquery, wanted, name), to_copy))
    return dict(zip(to_copy, taken, strict=True))


def _has_rows_to_keep(bigquery: BigQuery, dataset_id: str, name: str) -> bool:
    found = bigquery.get_table(dataset_id, name)
    if found is None or found.table_type in _WITHOUT_ROWS_OF_THEIR_OWN:
        return False
    if found.table_type != "TABLE":
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Move {dataset_id}.{name} to another dataset first: it is a {found.table_type}, "
            "which would be deleted without a snapshot.",
        )
    return True


def _take(bigquery: BigQuery, wanted: SnapshotSet, name: str) -> str:
    source, destination = f"{wanted.source}.{name}", wanted.name_of(name)
    rows = bigquery.count_rows(wanted.source, name)
    _snapshot_once(bigquery, source, destination, wanted.expires_at)
    if _is_complete(bigquery, destination, rows):
        return destination
    # rows streamed within the last hour and a half are left out of a snapshot; a query reads them
    bigquery.delete_table(*destination.split("."))
    bigquery.copy_rows(source, destination, wanted.expires_at)
    if _is_complete(bigquery, destination, rows):
        return destination
    raise TransientError(
        ErrorCode.DATA_CORRUPTED,
        f"Try again: the copy {destination} has fewer rows than {source}; nothing was deleted.",
    )


def _snapshot_once(bigquery: BigQuery, source: str, destination: str, expires_at: datetime) -> None:
    """Take the snapshot; one of this name is there if this was begun before, which `_is_complete` judges."""
    try:
        bigquery.snapshot(source, destination, expires_at)
    except PermanentError as error:
        if error.code is not ErrorCode.ALREADY_EXISTS:
            raise


def _is_complete(bigquery: BigQuery, destination: str, rows: int) -> bool:
    return rows == 0 or bigquery.count_rows(*destination.split(".")) >= rows
