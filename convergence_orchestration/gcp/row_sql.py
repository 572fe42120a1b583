"""Statements that compare the rows of two tables of one kind, and bring rows of one into the other.

What belongs here: the texts. Names are checked by `sql.py`; which rows count and what they mean is `warehouse/backups`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from convergence_orchestration.gcp.sql import checked_column, checked_type, dotted, filled


@dataclass(frozen=True)
class ReadColumn:
    """A column and the GoogleSQL type to read it as; without one it is read as it is, as a list must be."""

    name: str
    type: str | None = None


@dataclass(frozen=True)
class RowPair:
    """Two tables with these columns, each (project, dataset, table).

    Attributes:
        kept: the table whose rows are brought.
        present: the table that they are compared with and brought into.
        columns: those that are compared and brought; both tables have them.
        keys: names of those that identify a row.
        final_column: a row of `present` in which this column says the parameter `final` stays as it is.
    """

    kept: tuple[str, str, str]
    present: tuple[str, str, str]
    columns: Sequence[ReadColumn]
    keys: Sequence[str]
    final_column: str


def select_checksum(table: tuple[str, str, str], columns: Sequence[ReadColumn]) -> str:
    """The statement that reads a table's `row_count` and `checksum`.

    The checksum is the sum of the rows' fingerprints: the order does not matter, and a row that is there twice counts twice.
    """
    return filled("select_checksum.sql", table=dotted(*table), columns=_read(columns))


def compare_rows(pair: RowPair) -> str:
    """The statement that counts how two tables differ, row by row. Its parameter is `final`."""
    keys = [column for column in pair.columns if column.name in pair.keys]
    return filled(
        "compare_rows.sql",
        kept=dotted(*pair.kept),
        present=dotted(*pair.present),
        keys=_read(keys),
        columns=_read(pair.columns),
        final_column=checked_column(pair.final_column),
    )


def insert_missing(pair: RowPair) -> str:
    """The statement that appends the rows of `kept` whose keys `present` lacks; rows just streamed are left in peace."""
    return filled("insert_missing.sql", **_parts(pair))


def merge_missing(pair: RowPair) -> str:
    """The same for a table that is never streamed to: of two who do it at once, one finds what the other brought."""
    return filled("merge_missing.sql", **_parts(pair))


def merge_back(pair: RowPair) -> str:
    """The statement that makes rows as they are in `kept`, and leaves those of other keys and final ones.

    Its parameter is `final`.
    """
    return filled("merge_back.sql", **_parts(pair))


def _parts(pair: RowPair) -> dict[str, str]:
    names = [checked_column(column.name) for column in pair.columns]
    return {
        "kept": dotted(*pair.kept),
        "present": dotted(*pair.present),
        "columns": _read(pair.columns),
        "names": ", ".join(names),
        "values": ", ".join(f"kept.{name}" for name in names),
        "assignments": ", ".join(f"{name} = kept.{name}" for name in names),
        "same_keys": " AND ".join(f"present.{key} = kept.{key}" for key in map(checked_column, pair.keys)),
        "final_column": checked_column(pair.final_column),
    }


def _read(columns: Sequence[ReadColumn]) -> str:
    return ", ".join(_as_declared(column) for column in columns)


def _as_declared(column: ReadColumn) -> str:
    name = checked_column(column.name)
    return name if column.type is None else f"CAST({name} AS {checked_type(column.type)}) AS {name}"
