"""A backup is taken: a copy of every table, counted and summed, and last of all its row in the list.

What belongs here: the order of the steps. Killed anywhere, the same run tried again takes what is missing; until the last
step nobody sees a backup, and its copies expire by themselves.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from google.cloud.bigquery import Table

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.row_sql import select_checksum
from convergence_orchestration.warehouse.backups.columns import all_of
from convergence_orchestration.warehouse.backups.listing import enter, every_backup, make_list
from convergence_orchestration.warehouse.backups.model import BACKUP_DATASET, BackedUpTable, Backup, Scope
from convergence_orchestration.warehouse.model import TableSpec
from convergence_orchestration.warehouse.snapshots import SnapshotSet, snapshot_tables


@dataclass(frozen=True)
class Asked:
    """What is to be backed up.

    Attributes:
        asked_at: UTC; part of the backup's name, so the same when a run is tried again.
        run_id: the run that was started first, if it is tried again.
        kept: after so long the backup expires.
    """

    scope: Scope
    environment: str
    asked_at: datetime
    run_id: str
    kept: timedelta
    reason: str

    @property
    def name(self) -> str:
        """The backup's name."""
        return self.scope.backup_name(self.asked_at, self.run_id)


def take_backup(bigquery: BigQuery, asked: Asked) -> Backup:
    """Take the backup; the one of this name that is whole already is given as it is.

    Raises:
        PermanentError: NOT_FOUND if there is no such dataset or it has none of the declared tables.
        TransientError: DATA_CORRUPTED if a copy lacks rows; nothing is listed then.
    """
    known = next((each for each in every_backup(bigquery) if each.name == asked.name), None)
    if known is not None:
        return known
    dataset_id = asked.scope.dataset_id
    if bigquery.get_dataset(dataset_id) is None:
        raise _nothing_to_keep(asked.scope)
    make_list(bigquery)
    expires_at = asked.asked_at + asked.kept
    wanted = SnapshotSet(dataset_id, BACKUP_DATASET, f"{asked.name}__", asked.asked_at, expires_at)
    taken = snapshot_tables(bigquery, wanted, [spec.name for spec in asked.scope.specs])
    if not taken:
        raise _nothing_to_keep(asked.scope)
    backup = Backup(
        name=asked.name,
        dataset_id=dataset_id,
        environment=asked.environment,
        taken_at=asked.asked_at,
        expires_at=expires_at,
        run_id=asked.run_id,
        reason=asked.reason,
        tables=tuple(
            _counted(bigquery, spec, taken[spec.name]) for spec in asked.scope.specs if spec.name in taken
        ),
    )
    enter(bigquery, backup)
    return backup


def rows_and_checksum(bigquery: BigQuery, copy: Table) -> tuple[int, str]:
    """Rows of a copy and the sum of their fingerprints."""
    table = (bigquery.project, copy.dataset_id, copy.table_id)
    row = bigquery.query(select_checksum(table, all_of(copy)))[0]
    return int(row["row_count"]), str(int(row["checksum"] or 0))


def _counted(bigquery: BigQuery, spec: TableSpec, copy: str) -> BackedUpTable:
    found = bigquery.get_table(*copy.split("."))
    if found is None:
        raise TransientError(
            ErrorCode.DATA_CORRUPTED, f"Try again: {copy} is gone already; nothing is listed."
        )
    rows, checksum = rows_and_checksum(bigquery, found)
    is_query_copy = found.table_type != "SNAPSHOT"
    return BackedUpTable(spec.name, copy, rows, checksum, spec.version, is_query_copy)


def _nothing_to_keep(scope: Scope) -> PermanentError:
    what_to_do = (
        "Name a tenant that has a dataset"
        if scope.tenant_id
        else "Bootstrap the platform, with the job `bootstrap`"
    )
    return PermanentError(
        ErrorCode.NOT_FOUND if scope.tenant_id else ErrorCode.NOT_BOOTSTRAPPED,
        f"{what_to_do}: {scope.dataset_id} has no table to back up.",
    )
