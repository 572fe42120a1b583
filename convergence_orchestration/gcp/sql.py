"""Statements over a table whose name is only known when they run.

A table's name cannot be a query parameter. It is put into the text here and in `row_sql.py`, and nowhere else, after a
check that it is a name and nothing but a name.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from convergence_orchestration.errors import ErrorCode, PermanentError

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,1024}")
_COLUMN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
_TYPE: Final = re.compile(r"[A-Z][A-Z0-9]*|ARRAY<[A-Z][A-Z0-9]*>")


@dataclass(frozen=True)
class NewColumn:
    """A column to add: its GoogleSQL type, `ARRAY<...>` for a repeated one, and what it is."""

    name: str
    type: str
    description: str


def select_count(project: str, dataset_id: str, table_id: str) -> str:
    """The statement that counts a table's rows as `row_count`."""
    return _over_table("select_count.sql", project, dataset_id, table_id)


def select_all(project: str, dataset_id: str, table_id: str) -> str:
    """The statement that reads every row and column of a table."""
    return _over_table("select_all.sql", project, dataset_id, table_id)


def select_newest(project: str, dataset_id: str, table_id: str, time_column: str) -> str:
    """The statement that counts a table's rows as `row_count` and finds the latest `time_column` as `newest`."""
    return filled(
        "select_newest.sql",
        table=dotted(project, dataset_id, table_id),
        time_column=_checked(_COLUMN, time_column, "column"),
    )


def columns_of_region(project: str, location: str) -> str:
    """The statement that reads every column of the datasets in a location, table by table.

    Its parameters are `prefix`, with which a dataset's name starts, and `datasets`, their names (none: all of them).
    """
    return filled("region_columns.sql", region=dotted(project, f"region-{location.lower()}"))


def bytes_billed(project: str, location: str) -> str:
    """The statement that counts the `queries` of a location since its parameter `since`, and the bytes `billed` for them."""
    return filled("bytes_billed.sql", region=dotted(project, f"region-{location.lower()}"))


def add_columns(table: Sequence[str], columns: Sequence[NewColumn]) -> str:
    """The statement that adds columns which a table (project, dataset, table) lacks; one that it has is left alone."""
    clauses = ", ".join(
        filled(
            "add_column.sql",
            column=_checked(_COLUMN, column.name, "column"),
            type=_checked(_TYPE, column.type, "type"),
            description=_literal(column.description),
        ).strip()
        for column in columns
    )
    return filled("alter_table.sql", table=dotted(*table), clauses=clauses)


def drop_not_null(table: Sequence[str], column: str) -> str:
    """The statement that lets a REQUIRED column of a table (project, dataset, table) be empty."""
    clause = filled("drop_not_null.sql", column=_checked(_COLUMN, column, "column"))
    return filled("alter_table.sql", table=dotted(*table), clauses=clause.strip())


def set_data_type(table: Sequence[str], column: str, wider: str) -> str:
    """The statement that gives a column of a table (project, dataset, table) a wider type."""
    clause = filled(
        "set_data_type.sql",
        column=_checked(_COLUMN, column, "column"),
        type=_checked(_TYPE, wider, "type"),
    )
    return filled("alter_table.sql", table=dotted(*table), clauses=clause.strip())


def _over_table(file: str, *names: str) -> str:
    return filled(file, table=dotted(*names))


def dotted(*names: str) -> str:
    """Checked names with dots between them: a table, or a dataset's view of itself."""
    return ".".join(_checked(_NAME, name, "table") for name in names)


def _checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT, f"Correct the {what}'s name: {text!r} is not a name."
        )
    return text


def _literal(text: str) -> str:
    """A string between double quotes; what JSON escapes, GoogleSQL reads in the same way."""
    return json.dumps(text, ensure_ascii=False)


def checked_column(name: str) -> str:
    """The name of a column, and nothing but a name.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    return _checked(_COLUMN, name, "column")


def checked_type(name: str) -> str:
    """A GoogleSQL type without parameters.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    return _checked(_TYPE, name, "type")


def filled(file: str, **names: str) -> str:
    """The file's text with `{name}` replaced in one pass, so that nothing put in is looked at again."""
    text = Path(__file__).with_name(file).read_text("utf-8")
    return re.sub(r"\{(\w+)\}", lambda found: names[found[1]], text)
