"""What local-bigquery asks of DuckDB's system tables at each call, answered from the one project's own catalogue.

`duckdb_tables()` and its like list every table of every project before they filter, so that each call costs more with every
table there is. DuckLake keeps the same facts of one project in tables of its own, where a look-up costs the same however many
there are. What belongs here: the four look-ups, in the words of the pinned version; every other statement is left as it is.
"""

from collections.abc import Callable, Sequence
from typing import Any

import duckdb

type Fetch = Callable[[str, Sequence[Any] | None], list[tuple[Any, ...]]]

_OBJECTS = (
    "SELECT table_name, 'TABLE', estimated_size FROM duckdb_tables() "
    "WHERE database_name = $1 AND schema_name = $2 "
    "AND table_name = coalesce($3, table_name) "
    "UNION ALL SELECT view_name, 'VIEW', 0 FROM duckdb_views() "
    "WHERE database_name = $1 AND schema_name = $2 "
    "AND view_name = coalesce($3, view_name) AND NOT internal ORDER BY 1"
)
_SCHEMA = "SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?"
_REQUIRED = (
    "SELECT column_name FROM duckdb_columns() WHERE database_name = ? "
    "AND schema_name = ? AND table_name = ? AND NOT is_nullable"
)
_COLUMN = (
    "SELECT 1 FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? "
    "AND table_name = ? AND column_name = ?"
)

_RESULTS = "_results"
"""Where local-bigquery keeps the answers of queries, in its own database."""

QUICK = {
    _OBJECTS: """
        SELECT held.table_name, 'TABLE', coalesce(stats.record_count, 0)
        FROM {lake}.ducklake_schema AS dataset
        JOIN {lake}.ducklake_table AS held USING (schema_id)
        LEFT JOIN {lake}.ducklake_table_stats AS stats USING (table_id)
        WHERE dataset.end_snapshot IS NULL AND held.end_snapshot IS NULL
          AND dataset.schema_name = $1 AND held.table_name = coalesce($2, held.table_name)
        UNION ALL
        SELECT shown.view_name, 'VIEW', 0
        FROM {lake}.ducklake_schema AS dataset
        JOIN {lake}.ducklake_view AS shown USING (schema_id)
        WHERE dataset.end_snapshot IS NULL AND shown.end_snapshot IS NULL
          AND dataset.schema_name = $1 AND shown.view_name = coalesce($2, shown.view_name)
        ORDER BY 1
        """,
    _SCHEMA: "SELECT 1 FROM {lake}.ducklake_schema WHERE end_snapshot IS NULL AND schema_name = ?",
    _REQUIRED: """
        SELECT held.column_name
        FROM {lake}.ducklake_schema AS dataset
        JOIN {lake}.ducklake_table AS holder USING (schema_id)
        JOIN {lake}.ducklake_column AS held USING (table_id)
        WHERE dataset.end_snapshot IS NULL AND holder.end_snapshot IS NULL AND held.end_snapshot IS NULL
          AND dataset.schema_name = ? AND holder.table_name = ?
          AND held.parent_column IS NULL AND NOT held.nulls_allowed
        """,
    _COLUMN: """
        SELECT 1
        FROM {lake}.ducklake_schema AS dataset
        JOIN {lake}.ducklake_table AS holder USING (schema_id)
        JOIN {lake}.ducklake_column AS held USING (table_id)
        WHERE dataset.end_snapshot IS NULL AND holder.end_snapshot IS NULL AND held.end_snapshot IS NULL
          AND dataset.schema_name = ? AND holder.table_name = ? AND held.column_name = ? AND held.parent_column IS NULL
        """,
}
"""local-bigquery's statement, whose first parameter is the project, and the same asked of `lake`, the project's catalogue."""


def quick(fetch: Fetch, is_project: Callable[[str], bool], quoted: Callable[..., str]) -> Fetch:
    """`fetch`, with the statements of QUICK about a project put to its own catalogue, and results looked up directly.

    Args:
        fetch: runs a statement with parameters and gives its rows.
        is_project: whether a database of this name is a project's, that is, a DuckLake.
        quoted: the parts of a name as an identifier of SQL.
    """

    def fetched(sql: str, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        if sql not in QUICK or not params:
            return fetch(sql, params)
        if is_project(params[0]):
            lake = quoted(f"__ducklake_metadata_{params[0]}")
            return fetch(QUICK[sql].format(lake=lake), list(params[1:]))
        if sql == _OBJECTS and params[2] is not None:
            return _result(*params)
        if sql == _REQUIRED and params[1] == _RESULTS:
            return []  # a query's answer has no such columns
        return fetch(sql, params)

    def _result(database: str, schema: str, table: str) -> list[tuple[Any, ...]]:
        """The table that holds a query's answer, in local-bigquery's own database; a look at the table finds it or not."""
        try:
            counted = fetch(f"SELECT count(*) FROM {quoted(database, schema, table)}", None)  # noqa: S608 it is quoted
        except duckdb.CatalogException:
            return []
        return [(table, "TABLE", counted[0][0])]

    return fetched


TEMPORARY = "SELECT table_name FROM duckdb_tables() WHERE temporary"
"""Asked before each query. It reads the statistics of every table there is: with 100 tables it took 90 ms, most of a query's time."""

_NONE = "SELECT '' AS table_name WHERE false"


class FreshCursor:
    """A cursor that was just made, so that it has no temporary table yet."""

    def __init__(self, cursor: Any) -> None:  # noqa: ANN401 DuckDB's, or a stand-in
        self._cursor = cursor

    def sql(self, query: str, **given: Any) -> Any:  # noqa: ANN401 a relation of DuckDB
        """As DuckDB's, but for what is known to find nothing."""
        return self._cursor.sql(_NONE if query == TEMPORARY else query, **given)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 whatever DuckDB's cursor has
        return getattr(self._cursor, name)


def on_fresh_cursors(execute: Callable[..., Any]) -> Callable[..., Any]:
    """`execute`, which runs a script on the cursor that it is given first: a fresh one, unless it is a session's."""

    def executed(cursor: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 local-bigquery's own
        return execute(cursor if named.get("session") else FreshCursor(cursor), *arguments, **named)

    return executed
