"""Statements over a table whose name is only known when they run.

A table's name cannot be a query parameter. It is put into the text here and nowhere else, after a check that it is a
name and nothing but a name.
"""

import re
from pathlib import Path
from typing import Final

from convergence_orchestration.errors import ErrorCode, PermanentError

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,1024}")


def select_count(project: str, dataset_id: str, table_id: str) -> str:
    """The statement that counts a table's rows as `row_count`."""
    return _over_table("select_count.sql", project, dataset_id, table_id)


def select_all(project: str, dataset_id: str, table_id: str) -> str:
    """The statement that reads every row and column of a table."""
    return _over_table("select_all.sql", project, dataset_id, table_id)


def select_newest(project: str, dataset_id: str, table_id: str, time_column: str) -> str:
    """The statement that counts a table's rows as `row_count` and finds the latest `time_column` as `newest`."""
    _check_names(time_column)
    sql = _over_table("select_newest.sql", project, dataset_id, table_id)
    return sql.replace("{time_column}", time_column)


def _over_table(file: str, *names: str) -> str:
    _check_names(*names)
    return Path(__file__).with_name(file).read_text("utf-8").replace("{table}", ".".join(names))


def _check_names(*names: str) -> None:
    wrong = [name for name in names if not _NAME.fullmatch(name)]
    if wrong:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT, f"Correct the table's name: {wrong[0]!r} is not a name."
        )
