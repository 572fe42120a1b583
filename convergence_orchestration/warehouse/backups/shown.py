"""Backups and comparisons as rows of text, the same for Dagster and the command line.

What belongs here: words for what was found. Nothing here asks.
"""

from collections.abc import Sequence
from typing import Final

from convergence_orchestration.warehouse.backups.compared import ComparedTable, Permissions, refusals
from convergence_orchestration.warehouse.backups.model import Backup

COMPARED_COLUMNS: Final = (
    "table",
    "rows_now",
    "rows_in_backup",
    "put_back",
    "go_back",
    "stay",
    "schema",
    "would_be_lost",
    "refused",
)
BACKUP_COLUMNS: Final = ("name", "of", "taken_at", "expires_at", "tables", "rows", "reason")
COPY_COLUMNS: Final = ("table", "rows", "checksum", "version", "copied_by", "copy")


def compared_rows(compared: Sequence[ComparedTable], allowed: Permissions) -> list[tuple[str, ...]]:
    """One row for each table, as COMPARED_COLUMNS says."""
    return [_compared(table, allowed) for table in compared]


def backup_rows(backups: Sequence[Backup]) -> list[tuple[str, ...]]:
    """One row for each backup, as BACKUP_COLUMNS says."""
    return [
        (
            backup.name,
            backup.scope.in_words,
            f"{backup.taken_at:%Y-%m-%d %H:%M:%S}",
            f"{backup.expires_at:%Y-%m-%d %H:%M:%S}",
            str(len(backup.tables)),
            str(backup.rows),
            backup.reason,
        )
        for backup in backups
    ]


def copy_rows(backup: Backup) -> list[tuple[str, ...]]:
    """One row for each table of a backup, as COPY_COLUMNS says."""
    return [
        (
            table.name,
            str(table.rows),
            table.checksum,
            str(table.version),
            "query, for rows were only just streamed" if table.is_query_copy else "snapshot",
            table.snapshot,
        )
        for table in backup.tables
    ]


def _compared(table: ComparedTable, allowed: Permissions) -> tuple[str, ...]:
    counts = table.counts
    goes_back = counts.changed if "go back" in table.rule.way else 0
    return (
        table.spec.name,
        str(counts.rows_now),
        str(counts.rows_in_backup),
        str(counts.missing),
        str(goes_back),
        str(counts.newer + counts.final + counts.changed - goes_back),
        _schema(table),
        table.lost or "nothing",
        " ".join(refusals(table, allowed)),
    )


def _schema(table: ComparedTable) -> str:
    if table.is_missing:
        return "the table is missing and is made"
    parts = [f"{each.column}: {each.found} and not {each.declared}" for each in table.differences]
    parts += [f"{column} of the backup is not declared and left out" for column in table.unread_columns]
    return "; ".join(parts) or "as declared"
