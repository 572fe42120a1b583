"""Snapshots of central tables, taken before anything is deleted.

What belongs here: naming, taking and checking them. Deleting is `bootstrap.py`.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
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


def snapshot_central_tables(bigquery: BigQuery, names: Iterable[str], now: datetime) -> dict[str, str]:
    """Snapshot those of the central tables that exist, also empty ones; `dataset.table` of each snapshot by name.

    Either every snapshot is there afterwards and has every row, or an error is raised and nothing was changed.

    Raises:
        PermanentError: FAILED_PRECONDITION for a thing that cannot be copied so.
        TransientError: DATA_CORRUPTED if a snapshot has fewer rows than its table.
    """
    to_copy = [name for name in sorted(names) if _has_rows_to_keep(bigquery, name)]
    if not to_copy:
        return {}
    bigquery.create_dataset(
        SNAPSHOT_DATASET,
        description="Snapshots of the platform's own tables, taken before they were recreated.",
        labels={"managed_by": "convergence-orchestration"},
    )
    with ThreadPoolExecutor(MAX_CONCURRENT_CALLS) as pool:
        taken = list(pool.map(lambda name: _take(bigquery, name, now), to_copy))
    return dict(zip(to_copy, taken, strict=True))


def snapshot_name(table: str, now: datetime) -> str:
    """`dataset.table` of the snapshot of a table at a time, to the second in UTC."""
    return f"{SNAPSHOT_DATASET}.{table}_{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _has_rows_to_keep(bigquery: BigQuery, name: str) -> bool:
    found = bigquery.get_table(CENTRAL_DATASET, name)
    if found is None or found.table_type in _WITHOUT_ROWS_OF_THEIR_OWN:
        return False
    if found.table_type != "TABLE":
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Move {CENTRAL_DATASET}.{name} to another dataset first: it is a {found.table_type}, "
            "which would be deleted without a snapshot.",
        )
    return True


def _take(bigquery: BigQuery, name: str, now: datetime) -> str:
    source, destination = f"{CENTRAL_DATASET}.{name}", snapshot_name(name, now)
    expires_at = now + SNAPSHOT_KEPT
    rows = bigquery.count_rows(CENTRAL_DATASET, name)
    bigquery.snapshot(source, destination, expires_at)
    if _is_complete(bigquery, destination, rows):
        return destination
    # rows streamed within the last hour and a half are left out of a snapshot; a query reads them
    bigquery.delete_table(*destination.split("."))
    bigquery.copy_rows(source, destination, expires_at)
    if _is_complete(bigquery, destination, rows):
        return destination
    raise TransientError(
        ErrorCode.DATA_CORRUPTED,
        f"Try again: the copy {destination} has fewer rows than {source}; nothing was deleted.",
    )


def _is_complete(bigquery: BigQuery, destination: str, rows: int) -> bool:
    return rows == 0 or bigquery.count_rows(*destination.split(".")) >= rows
