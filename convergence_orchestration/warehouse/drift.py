"""Where a real table differs from its declaration: a pure comparison, no call of any service."""

from google.cloud import bigquery

from convergence_orchestration.warehouse.model import (
    Column,
    ColumnMode,
    Granularity,
    Partitioning,
    SchemaDifference,
    TableSpec,
)

_GOOGLESQL_NAMES = {
    "INTEGER": "INT64",
    "FLOAT": "FLOAT64",
    "BOOLEAN": "BOOL",
    "DECIMAL": "NUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
    "RECORD": "STRUCT",
}
_NOTHING = "-"


def differences(declared: TableSpec, found: bigquery.Table | None) -> tuple[SchemaDifference, ...]:
    """How the table differs in columns, types, modes, partitioning and clustering; empty if it does not.

    Descriptions, labels and the columns' order change no answer of any query and are not compared.
    """
    if found is None:
        return (SchemaDifference(declared.name, "(table)", "a table", _NOTHING),)
    if found.table_type != "TABLE":
        return (SchemaDifference(declared.name, "(table)", "TABLE", str(found.table_type)),)
    return (*_of_columns(declared, found), *_of_layout(declared, found))


def _of_columns(declared: TableSpec, found: bigquery.Table) -> list[SchemaDifference]:
    wanted = {column.name: column for column in declared.columns}
    real = {column.name: column for column in map(_column, found.schema)}
    names = [*wanted, *(name for name in real if name not in wanted)]
    return [
        SchemaDifference(declared.name, name, _in_words(wanted.get(name)), _in_words(real.get(name)))
        for name in names
        if wanted.get(name) != real.get(name)
    ]


def _of_layout(declared: TableSpec, found: bigquery.Table) -> list[SchemaDifference]:
    pairs = (
        (
            "(partitioning)",
            _partitioning_in_words(declared.partitioning),
            _partitioning_in_words(_partitioning(found)),
        ),
        (
            "(clustering)",
            _list_in_words(declared.clustering),
            _list_in_words(tuple(found.clustering_fields or ())),
        ),
    )
    return [
        SchemaDifference(declared.name, what, wanted, real) for what, wanted, real in pairs if wanted != real
    ]


def _column(field: bigquery.SchemaField) -> Column:
    kind = str(field.field_type).upper()
    return Column(
        name=field.name,
        type=_GOOGLESQL_NAMES.get(kind, kind),
        mode=ColumnMode((field.mode or "NULLABLE").upper()),
        description=field.description or "",
    )


def _partitioning(table: bigquery.Table) -> Partitioning | None:
    by_time = table.time_partitioning
    if by_time is None:
        return None
    days = by_time.expiration_ms // 86_400_000 if by_time.expiration_ms else None
    return Partitioning(by_time.field or "_PARTITIONTIME", Granularity(by_time.type_), days)


def _in_words(column: Column | None) -> str:
    return f"{column.type} {column.mode}" if column else _NOTHING


def _partitioning_in_words(partitioning: Partitioning | None) -> str:
    if partitioning is None:
        return _NOTHING
    kept = f", kept {partitioning.expiration_days} days" if partitioning.expiration_days else ""
    return f"{partitioning.granularity} of {partitioning.column}{kept}"


def _list_in_words(columns: tuple[str, ...]) -> str:
    return ", ".join(columns) or _NOTHING
