"""What restoring a backup would do to each table, and what of it is refused: a pure decision.

What belongs here: facts about tables and the sentences about them. Reading the facts is `comparing.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.warehouse.backups.model import LEFT_OUT, BackedUpTable, Backup
from convergence_orchestration.warehouse.backups.rules import KEY_LEDGER, Rule, Way
from convergence_orchestration.warehouse.model import SchemaDifference, TableSpec


@dataclass(frozen=True)
class Counts:
    """How a table and the backup of it differ, in rows.

    Attributes:
        missing: rows of the backup whose keys the table has not.
        changed: rows that the table has otherwise.
        final: the same, but what they became cannot be undone.
        newer: rows of the table whose keys the backup has not.
    """

    rows_now: int
    rows_in_backup: int
    missing: int
    changed: int = 0
    final: int = 0
    newer: int = 0


@dataclass(frozen=True)
class ComparedTable:
    """One table beside the backup of it.

    Attributes:
        is_missing: the table is not there.
        differences: how the real table differs from its declaration; it can only be restored when it is made anew.
        can_migrate: the differences go away by a migration, which loses nothing.
        lost_columns: columns that the table has and that are not declared, so that they are lost when it is made anew.
        unread_columns: columns that the backup has and that are not declared, so that they are not restored.
        unfilled_columns: columns that must be filled and that the backup has not.
        unkept_columns: columns that must be filled and that the table itself has not.
    """

    spec: TableSpec
    rule: Rule
    kept: BackedUpTable
    counts: Counts
    is_missing: bool = False
    differences: tuple[SchemaDifference, ...] = ()
    can_migrate: bool = False
    lost_columns: tuple[str, ...] = ()
    unread_columns: tuple[str, ...] = ()
    unfilled_columns: tuple[str, ...] = ()
    unkept_columns: tuple[str, ...] = ()

    @property
    def is_made_anew(self) -> bool:
        """Whether the table has to be deleted and created before rows fit into it."""
        return bool(self.differences) and not self.is_missing

    @property
    def is_restored(self) -> bool:
        """Whether the table has what restoring the backup gives it."""
        goes_back = self.rule.way is Way.BACK and self.counts.changed > 0
        return not self.differences and not self.counts.missing and not goes_back

    @property
    def lost(self) -> str:
        """What would be lost by restoring, in words; empty for nothing."""
        parts = []
        if self.rule.way is Way.BACK and self.counts.changed:
            parts.append(f"what changed in {self.counts.changed} rows since")
        if self.lost_columns and self.is_made_anew:
            parts.append(f"columns {', '.join(self.lost_columns)}")
        return "; ".join(parts)


@dataclass(frozen=True)
class Permissions:
    """What whoever asks allows beyond the plain restoring of rows.

    Attributes:
        recreate_tables: tables that are not as declared are deleted and made anew.
        readmit_keys: events of keys that the ledger lacks are put back although nobody knows what was revoked since.
    """

    recreate_tables: bool = False
    readmit_keys: bool = False


NOTHING_MORE: Final = Permissions()
"""Rows are restored and no more."""


def chosen_tables(backup: Backup, names: Sequence[str]) -> list[tuple[TableSpec, BackedUpTable]]:
    """The tables to restore, all of the backup's that are declared if none is named.

    Raises:
        PermanentError: INVALID_ARGUMENT for a table that cannot be restored from it; FAILED_PRECONDITION if a table's backup
            is of a newer declaration than the catalogue's.
    """
    declared = {spec.name: spec for spec in backup.scope.specs}
    for name in names:
        if name in LEFT_OUT:
            raise _wrong(
                f"Leave out {name}: no backup has it, for it would undo the deletion of sealed keys."
            )
        if name not in declared or backup.table(name) is None:
            raise _wrong(f"Choose among {', '.join(sorted(declared))}: {backup.name} has no table {name}.")
    chosen = [
        (declared[kept.name], kept)
        for kept in backup.tables
        if kept.name in declared and (not names or kept.name in names)
    ]
    for spec, kept in chosen:
        if kept.version > spec.version:
            raise PermanentError(
                ErrorCode.FAILED_PRECONDITION,
                f"Deploy the code that took {backup.name}, or choose other tables: its {spec.name} is of version "
                f"{kept.version}, and the catalogue here knows version {spec.version}.",
            )
    return chosen


def refusals(compared: ComparedTable, allowed: Permissions) -> list[str]:
    """Why this table is not restored, one sentence each; empty if it is."""
    name, found = compared.spec.name, []
    if compared.unfilled_columns:
        found.append(
            f"Choose a newer backup, or other tables: this one has no {', '.join(compared.unfilled_columns)} "
            f"for {name}, which must be filled."
        )
    if compared.is_made_anew and compared.can_migrate:
        found.append(f"Migrate {name} first, which loses nothing: it lacks what the catalogue added.")
    elif compared.is_made_anew and not allowed.recreate_tables:
        differs = ", ".join(each.column for each in compared.differences)
        found.append(
            f"Allow it to recreate tables, with nothing else running, or choose other tables: {name} differs "
            f"from the catalogue in {differs}."
        )
    elif compared.is_made_anew and compared.unkept_columns:
        found.append(
            f"Add {', '.join(compared.unkept_columns)} to {name} and fill it first: without it the rows that are there "
            "do not fit into the declared table."
        )
    if name == KEY_LEDGER and compared.counts.missing and not allowed.readmit_keys:
        found.append(
            f"Allow it to readmit keys only if none was revoked since the backup: {name} lacks "
            f"{compared.counts.missing} events, so it has lost rows, perhaps revocations as well."
        )
    return found


def check_allowed(compared: Sequence[ComparedTable], allowed: Permissions) -> None:
    """Refuse what cannot or must not be restored.

    Raises:
        PermanentError: FAILED_PRECONDITION with one sentence for each reason.
    """
    found = [sentence for table in compared for sentence in refusals(table, allowed)]
    if found:
        raise PermanentError(ErrorCode.FAILED_PRECONDITION, "\n".join(found))


def _wrong(sentence: str) -> PermanentError:
    return PermanentError(ErrorCode.INVALID_ARGUMENT, sentence)
