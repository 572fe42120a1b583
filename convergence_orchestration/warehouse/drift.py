"""Where a real table differs from its declaration: a pure comparison, no call of any service."""

from typing import Final

from convergence_orchestration.warehouse.model import (
    Column,
    FoundTable,
    Partitioning,
    SchemaDifference,
    TableSpec,
)

WHOLE_TABLE: Final = "(table)"
PARTITIONING: Final = "(partitioning)"
CLUSTERING: Final = "(clustering)"
NOTHING: Final = "-"


def differences(declared: TableSpec, found: FoundTable | None) -> tuple[SchemaDifference, ...]:
    """How the table differs in columns, types, modes, partitioning and clustering; empty if it does not.

    Descriptions, labels and the columns' order change no answer of any query and are not compared. Of a partitioning
    whose column alone is known, the column is compared.
    """
    if found is None:
        return (SchemaDifference(declared.name, WHOLE_TABLE, "a table", NOTHING),)
    if found.kind != "TABLE":
        return (SchemaDifference(declared.name, WHOLE_TABLE, "TABLE", found.kind),)
    return (*_of_columns(declared, found), *_of_layout(declared, found))


def _of_columns(declared: TableSpec, found: FoundTable) -> list[SchemaDifference]:
    wanted = {column.name: column for column in declared.columns}
    real = {column.name: column for column in found.columns}
    names = [*wanted, *(name for name in real if name not in wanted)]
    return [
        SchemaDifference(declared.name, name, in_words(wanted.get(name)), in_words(real.get(name)))
        for name in names
        if wanted.get(name) != real.get(name)
    ]


def _of_layout(declared: TableSpec, found: FoundTable) -> list[SchemaDifference]:
    pairs = (
        (PARTITIONING, _declared_partitioning(declared, found), _partitioning_in_words(found.partitioning)),
        (CLUSTERING, _list_in_words(declared.clustering), _list_in_words(found.clustering)),
    )
    return [
        SchemaDifference(declared.name, what, wanted, real) for what, wanted, real in pairs if wanted != real
    ]


def in_words(column: Column | None) -> str:
    """A column's type and mode."""
    return f"{column.type} {column.mode}" if column else NOTHING


def _declared_partitioning(declared: TableSpec, found: FoundTable) -> str:
    """What is declared, as far as it is known of the real table."""
    by = declared.partitioning
    is_known_in_part = isinstance(found.partitioning, str)
    return _partitioning_in_words(by.column if by and is_known_in_part else by)


def _partitioning_in_words(partitioning: Partitioning | str | None) -> str:
    if partitioning is None:
        return NOTHING
    if isinstance(partitioning, str):
        return f"by {partitioning}"
    kept = f", kept {partitioning.expiration_days} days" if partitioning.expiration_days else ""
    return f"{partitioning.granularity} of {partitioning.column}{kept}"


def _list_in_words(columns: tuple[str, ...]) -> str:
    return ", ".join(columns) or NOTHING
