"""Real tables as BigQuery tells of them, in one form whichever way it was asked.

What belongs here: conversions of Google's answers, no call of any service and no comparison.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from google.cloud import bigquery

from convergence_orchestration.warehouse.model import (
    Column,
    ColumnMode,
    FoundTable,
    Granularity,
    Partitioning,
)

_GOOGLESQL_NAMES: Final = {
    "INTEGER": "INT64",
    "FLOAT": "FLOAT64",
    "BOOLEAN": "BOOL",
    "DECIMAL": "NUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
    "RECORD": "STRUCT",
}
_INGESTION_TIME: Final = "_PARTITIONTIME"
_PSEUDO_COLUMNS: Final = frozenset({_INGESTION_TIME, "_PARTITIONDATE"})
_MILLISECONDS_A_DAY: Final = 86_400_000


class ColumnFacts(NamedTuple):
    """What INFORMATION_SCHEMA.COLUMNS says of one column, in its own words."""

    name: str
    type: str
    is_nullable: str
    is_partitioning: str
    clustering_position: int | None


def googlesql_name(kind: str) -> str:
    """A type's GoogleSQL name; `tables.get` still says the older ones, INTEGER for INT64."""
    return _GOOGLESQL_NAMES.get(kind, kind)


def found_by_metadata(table: bigquery.Table | None) -> FoundTable | None:
    """A table, or that there is none, as `tables.get` answers: at once as it is now, with its whole partitioning."""
    if table is None:
        return None
    return FoundTable(
        columns=tuple(map(_column, table.schema)),
        partitioning=_partitioning(table),
        clustering=tuple(table.clustering_fields or ()),
        kind=str(table.table_type),
    )


def found_by_columns(facts: Sequence[ColumnFacts]) -> FoundTable:
    """A table as its rows of INFORMATION_SCHEMA.COLUMNS tell, some time after a change; without how it is partitioned."""
    partitioned_by = next((fact.name for fact in facts if fact.is_partitioning == "YES"), None)
    clustered = sorted(
        (fact.clustering_position, fact.name) for fact in facts if fact.clustering_position is not None
    )
    return FoundTable(
        columns=tuple(_column_of(fact) for fact in facts if fact.name not in _PSEUDO_COLUMNS),
        partitioning=_INGESTION_TIME if partitioned_by in _PSEUDO_COLUMNS else partitioned_by,
        clustering=tuple(name for _, name in clustered),
    )


def _column_of(fact: ColumnFacts) -> Column:
    # before its emptiness: BigQuery calls a list not nullable, local-bigquery calls it nullable
    if fact.type.startswith("ARRAY<"):
        return Column(fact.name, _base(fact.type[len("ARRAY<") : -1]), ColumnMode.REPEATED)
    mode = ColumnMode.NULLABLE if fact.is_nullable == "YES" else ColumnMode.REQUIRED
    return Column(fact.name, _base(fact.type), mode)


def _base(kind: str) -> str:
    """The type without its fields, which the catalogue does not declare; with its parameters, which limit values."""
    return "STRUCT" if kind.startswith("STRUCT<") else kind


def _column(field: bigquery.SchemaField) -> Column:
    kind = str(field.field_type).upper()
    return Column(
        name=field.name,
        type=googlesql_name(kind) + _parameters(field),
        mode=ColumnMode((field.mode or "NULLABLE").upper()),
        description=field.description or "",
    )


def _parameters(field: bigquery.SchemaField) -> str:
    """As INFORMATION_SCHEMA writes them: `(10, 2)`, `(20)` or nothing."""
    given = [str(number) for number in (field.max_length, field.precision, field.scale) if number]
    return f"({', '.join(given)})" if given else ""


def _partitioning(table: bigquery.Table) -> Partitioning | str | None:
    by_time = table.time_partitioning
    if by_time is not None:
        days = by_time.expiration_ms // _MILLISECONDS_A_DAY if by_time.expiration_ms else None
        return Partitioning(by_time.field or _INGESTION_TIME, Granularity(by_time.type_), days)
    by_range = table.range_partitioning
    return f"ranges of {by_range.field}" if by_range else None
