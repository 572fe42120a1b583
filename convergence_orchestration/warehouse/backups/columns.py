"""Which columns of a real table can be read as the catalogue declares them now.

What belongs here: pure functions over a declaration and BigQuery's answer about a table.
"""

from google.cloud import bigquery

from convergence_orchestration.gcp.row_sql import ReadColumn
from convergence_orchestration.warehouse.found import found_by_metadata
from convergence_orchestration.warehouse.model import Column, ColumnMode, TableSpec


def declared_in(spec: TableSpec, table: bigquery.Table | None) -> list[ReadColumn]:
    """The declared columns that the table has, with the declared types; a list and a single value are not the same."""
    real = {column.name: column for column in _columns(table)}
    return [
        ReadColumn(column.name, None if _is_list(column) else column.type)
        for column in spec.columns
        if column.name in real and _is_list(real[column.name]) == _is_list(column)
    ]


def all_of(table: bigquery.Table | None) -> list[ReadColumn]:
    """Every column of the table as it is, by name: whatever is declared by then, it reads the same."""
    return [ReadColumn(name) for name in sorted(column.name for column in _columns(table))]


def undeclared_in(spec: TableSpec, table: bigquery.Table | None) -> tuple[str, ...]:
    """Columns of the table that are not read, for they are not declared or are declared as something else."""
    read = {column.name for column in declared_in(spec, table)}
    return tuple(column.name for column in _columns(table) if column.name not in read)


def required_and_absent(spec: TableSpec, table: bigquery.Table | None) -> tuple[str, ...]:
    """Columns that must be filled and that the table cannot fill."""
    read = {column.name for column in declared_in(spec, table)}
    return tuple(
        column.name
        for column in spec.columns
        if column.mode is ColumnMode.REQUIRED and column.name not in read
    )


def _is_list(column: Column) -> bool:
    return column.mode is ColumnMode.REPEATED


def _columns(table: bigquery.Table | None) -> tuple[Column, ...]:
    found = found_by_metadata(table)
    return found.columns if found else ()
