"""A backup is restored: looked at, a backup of the present taken, every table brought back, and looked at again.

What belongs here: the order of the steps. A table changes by one statement, so killed anywhere each is as it was or restored;
the same restore begun again does what is left.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.warehouse.backups.checking import (
    Wanted,
    check_confirmed,
    check_nothing_is_under_way,
    chosen_backup,
)
from convergence_orchestration.warehouse.backups.compared import (
    ComparedTable,
    check_allowed,
    chosen_tables,
)
from convergence_orchestration.warehouse.backups.comparing import check_intact, compare
from convergence_orchestration.warehouse.backups.model import Backup, Scope
from convergence_orchestration.warehouse.backups.recreating import (
    bring,
    is_cut_off,
    put_back_what_is_aside,
    recreate,
)


@dataclass(frozen=True)
class RestoredTable:
    """One table before and after."""

    before: ComparedTable
    after: ComparedTable


@dataclass(frozen=True)
class Restore:
    """A restore whose tables may be brought back one after the other.

    Attributes:
        backup: what is restored.
        present: the backup of the present, taken before anything is changed.
        tables: what will be done to each.
    """

    backup: Backup
    present: Backup
    tables: tuple[ComparedTable, ...]


def planned(bigquery: BigQuery, wanted: Wanted, now: datetime) -> tuple[Backup, list[ComparedTable]]:
    """The backup, and each table beside what the backup has of it: the dry run. Nothing is changed.

    Raises:
        PermanentError: as `chosen_backup` and `chosen_tables`; FAILED_PRECONDITION for a copy that is not what it was.
    """
    backup = chosen_backup(bigquery, wanted, now)
    compared = []
    for spec, kept in chosen_tables(backup, wanted.tables):
        check_intact(bigquery, kept)
        compared.append(compare(bigquery, backup.scope, spec, kept))
    return backup, compared


def begin(
    bigquery: BigQuery,
    wanted: Wanted,
    confirm: str,
    now: datetime,
    take_backup_of: Callable[[Scope], Backup],
) -> Restore:
    """Make sure that the backup may be restored, and take a backup of the present; no table is changed.

    `take_backup_of` gives the same backup when the restore is tried again.

    Raises:
        PermanentError: as `planned`, and INVALID_ARGUMENT without the confirmation, REQUEST_IN_PROGRESS,
            FAILED_PRECONDITION for what is not allowed. Nothing was changed.
    """
    check_confirmed(wanted, confirm)
    backup = chosen_backup(bigquery, wanted, now)
    check_nothing_is_under_way(bigquery, wanted)
    for spec, _ in chosen_tables(backup, wanted.tables):
        if is_cut_off(
            bigquery, backup.scope, spec
        ):  # of a restore that was killed: its rows belong to the present
            put_back_what_is_aside(bigquery, backup.scope, spec)
    backup, compared = planned(bigquery, wanted, now)
    check_allowed(compared, wanted.allowed)
    return Restore(backup, take_backup_of(backup.scope), tuple(compared))


def restored(bigquery: BigQuery, restore: Restore, now: datetime) -> Iterator[RestoredTable]:
    """Bring the tables back, each as soon as it is done.

    Raises:
        TransientError: DATA_CORRUPTED if a table is not what it should be afterwards.
        As `gcp.bigquery`; the tables before are restored, this one too or as it was, and the rest is as it was.
    """
    scope = restore.backup.scope
    for before in restore.tables:
        spec, kept = before.spec, before.kept
        if before.is_made_anew:
            recreate(bigquery, scope, spec, now)
        bring(bigquery, scope, spec, kept.snapshot, before.rule.way)
        after = compare(bigquery, scope, spec, kept)
        if not after.is_restored:
            raise TransientError(
                ErrorCode.DATA_CORRUPTED,
                f"Restore again with nothing else running: {spec.name} lacks {after.counts.missing} rows of the backup, "
                f"and {after.counts.changed} are not what they were. The present before it is {restore.present.name}.",
            )
        yield RestoredTable(before, after)
