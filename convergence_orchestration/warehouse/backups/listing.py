"""The list of backups, a table beside them: a backup is in it once it is whole.

What belongs here: the table `tenants_backups.backups` and its rows. They are written by DML: appends to a table that was
made a moment ago may be lost.
"""

from datetime import datetime
from pathlib import Path
from typing import Final

from google.cloud.bigquery import Row, ScalarQueryParameter

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.warehouse.backups.model import (
    BACKUP_DATASET,
    Backup,
    tables_as_text,
    tables_from_text,
)
from convergence_orchestration.warehouse.catalogue import to_bigquery
from convergence_orchestration.warehouse.model import CENTRAL_DATASET, Column, ColumnMode, TableSpec

_HERE: Final = Path(__file__)
_INSERT: Final = _HERE.with_name("insert_backup.sql").read_text("utf-8")
_SELECT: Final = _HERE.with_name("backups.sql").read_text("utf-8")
_COLUMNS: Final = {
    "name": ("STRING", "The backup."),
    "dataset_id": ("STRING", "Whose tables it holds."),
    "environment": ("STRING", "Where it was taken, one of development, staging and production."),
    "taken_at": ("TIMESTAMP", "When it was asked for, UTC."),
    "expires_at": ("TIMESTAMP", "When BigQuery deletes it, UTC."),
    "run_id": ("STRING", "The Dagster run that took it."),
    "reason": ("STRING", "Why it was taken, in words."),
    "tables": ("STRING", "Its tables, a JSON array: copy, rows, checksum and version of each."),
}
_LIST: Final = TableSpec(
    "backups",
    "Every whole backup, one row each. A backup of which only a part was taken is not in it.",
    tuple(Column(name, kind, ColumnMode.REQUIRED, says) for name, (kind, says) in _COLUMNS.items()),
)


def make_list(bigquery: BigQuery) -> None:
    """Make the dataset and the empty list where they are missing."""
    bigquery.create_dataset(
        BACKUP_DATASET,
        description="Backups of the platform's tables and of tenants' tables, and the list of them.",
        labels={"managed_by": "convergence-orchestration"},
    )
    if bigquery.get_table(BACKUP_DATASET, _LIST.name) is None:
        bigquery.create_table(to_bigquery(_LIST, bigquery.project, BACKUP_DATASET))


def enter(bigquery: BigQuery, backup: Backup) -> None:
    """Put a whole backup into the list, once."""
    values: dict[str, str | datetime] = {
        "name": backup.name,
        "dataset_id": backup.dataset_id,
        "environment": backup.environment,
        "taken_at": backup.taken_at,
        "expires_at": backup.expires_at,
        "run_id": backup.run_id,
        "reason": backup.reason,
        "tables": tables_as_text(backup.tables),
    }
    bigquery.execute(
        _INSERT, [ScalarQueryParameter(name, _COLUMNS[name][0], value) for name, value in values.items()]
    )


def every_backup(bigquery: BigQuery) -> list[Backup]:
    """Every backup that ever was whole, the newest first; also those that have expired."""
    try:
        return [_backup(row) for row in bigquery.query(_SELECT)]
    except PermanentError as error:
        if error.code is ErrorCode.NOT_FOUND:  # none was ever taken
            return []
        raise


def backups(bigquery: BigQuery, now: datetime) -> list[Backup]:
    """The backups that can be restored, the newest first: not expired, and every copy is there."""
    found = [backup for backup in every_backup(bigquery) if not backup.is_expired(now)]
    if not found:
        return []
    there = set(bigquery.list_tables(BACKUP_DATASET))
    return [backup for backup in found if _copies(backup) <= there]


def last_backup(bigquery: BigQuery, now: datetime) -> datetime | None:
    """When the newest backup of the central tables that can be restored was asked for, UTC; None if there is none."""
    of_the_platform = (each for each in backups(bigquery, now) if each.dataset_id == CENTRAL_DATASET)
    return max((each.taken_at for each in of_the_platform), default=None)


def restorable(bigquery: BigQuery, name: str, now: datetime) -> Backup:
    """The backup of this name.

    Raises:
        PermanentError: NOT_FOUND if there never was one; FAILED_PRECONDITION if it has expired or a copy is missing.
    """
    backup = next((each for each in every_backup(bigquery) if each.name == name), None)
    if backup is None:
        raise PermanentError(
            ErrorCode.NOT_FOUND, f"Choose one of `convergence backup list`: there is no whole backup {name}."
        )
    if backup.is_expired(now):
        raise _not_restorable(name, f"it expired at {backup.expires_at:%Y-%m-%d %H:%M} UTC")
    missing = _copies(backup) - set(bigquery.list_tables(BACKUP_DATASET))
    if missing:
        raise _not_restorable(name, f"{', '.join(sorted(missing))} is not there any more")
    return backup


def _not_restorable(name: str, why: str) -> PermanentError:
    return PermanentError(ErrorCode.FAILED_PRECONDITION, f"Choose another backup than {name}: {why}.")


def _copies(backup: Backup) -> set[str]:
    return {table.snapshot.partition(".")[2] for table in backup.tables}


def _backup(row: Row) -> Backup:
    values = dict(row.items())
    return Backup(**{**values, "tables": tables_from_text(values["tables"])})
