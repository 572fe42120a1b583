"""A statement that gave way to another one on the same table is told so, as BigQuery does.

DuckDB ends the transaction of the loser, and local-bigquery then fails to end it once more; its caller gets that second error, and
takes it for a mistake in what it sent. What belongs here: which errors of DuckDB are lost races, and BigQuery's words for them.
"""

from collections.abc import Callable
from typing import Any

import duckdb

_OF_RACES = ("conflict", "cannot rollback - no transaction is active")


def telling_lost_races(execute: Callable[..., Any]) -> Callable[..., Any]:
    """`execute`, which runs a script; a lost race is BigQuery's 400 that asks for another try."""

    def executed(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 local-bigquery's own
        from local_bigquery.errors import BigQueryError  # noqa: PLC0415 it opens its database when it is imported

        try:
            return execute(*arguments, **named)
        except duckdb.TransactionException as error:
            if not any(words in str(error).lower() for words in _OF_RACES):
                raise
            raise BigQueryError(
                "invalidQuery", "Could not serialize access to a table due to concurrent update"
            ) from error

    return executed
