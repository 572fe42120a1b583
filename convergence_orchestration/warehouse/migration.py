"""What has to be done to a real table so that it is as declared, and what is never done: a pure decision.

What belongs here: which differences are additive or widening, and the sentence for each that is not. Doing it is
`migrating.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from convergence_orchestration.warehouse.drift import (
    CLUSTERING,
    PARTITIONING,
    WHOLE_TABLE,
    differences,
    in_words,
)
from convergence_orchestration.warehouse.model import (
    Column,
    ColumnMode,
    ColumnType,
    FoundTable,
    SchemaDifference,
    TableSpec,
)

WIDER: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        ColumnType.INT64: frozenset({ColumnType.NUMERIC, ColumnType.BIGNUMERIC, ColumnType.FLOAT64}),
        ColumnType.NUMERIC: frozenset({ColumnType.BIGNUMERIC, ColumnType.FLOAT64}),
    }
)
"""Types and those that BigQuery's `SET DATA TYPE` widens them to."""


class ChangeKind(StrEnum):
    """What is done to a table, in the order in which it is done."""

    CREATE_TABLE = "create the table"
    ADD_COLUMNS = "add columns"
    DROP_NOT_NULL = "let a column be empty"
    SET_DATA_TYPE = "widen a column"


@dataclass(frozen=True)
class Change:
    """One change, which is one statement; `columns` are as they will be."""

    kind: ChangeKind
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """One difference that is not mended: of which column (or `(table)` ...), and the sentence why."""

    column: str
    reason: str


@dataclass(frozen=True)
class TablePlan:
    """What is to be done to one table: either changes or refusals, or nothing at all."""

    spec: TableSpec
    changes: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def is_needed(self) -> bool:
        """Whether the table would be changed."""
        return bool(self.changes)

    @property
    def creates(self) -> bool:
        """Whether the table is missing and would be made."""
        return any(change.kind is ChangeKind.CREATE_TABLE for change in self.changes)


def plan(spec: TableSpec, found: FoundTable | None) -> TablePlan:
    """The changes that make the table as declared; none of them if any difference is of the kind that is refused."""
    if found is None:
        return TablePlan(spec, (Change(ChangeKind.CREATE_TABLE, spec.columns),))
    differing = differences(spec, found)
    refusals = tuple(
        Refusal(difference.column, reason)
        for difference in differing
        if (reason := _refused(difference, spec, found)) is not None
    )
    if refusals:
        return TablePlan(spec, refusals=refusals)
    return TablePlan(spec, _changes(spec, found, frozenset(difference.column for difference in differing)))


def _changes(spec: TableSpec, found: FoundTable, differing: frozenset[str]) -> tuple[Change, ...]:
    real = {column.name: column for column in found.columns}
    wanted = [column for column in spec.columns if column.name in differing]
    added = tuple(column for column in wanted if column.name not in real)
    changed = [column for column in wanted if column.name in real]
    return (
        *([Change(ChangeKind.ADD_COLUMNS, added)] if added else []),
        *(
            Change(ChangeKind.DROP_NOT_NULL, (column,))
            for column in changed
            if column.mode is not real[column.name].mode
        ),
        *(
            Change(ChangeKind.SET_DATA_TYPE, (column,))
            for column in changed
            if column.type != real[column.name].type
        ),
    )


def _refused(difference: SchemaDifference, spec: TableSpec, found: FoundTable) -> str | None:
    """Why this difference is not mended, or None if it can be."""
    name = difference.column
    if name == WHOLE_TABLE:
        return f"Move the {found.kind} in its place away: only a table can be made as declared."
    if name in {PARTITIONING, CLUSTERING}:
        return (
            f"Copy the rows into a new table for another {name.strip('()')}: it is {difference.found} and declared "
            f"{difference.declared}, and BigQuery would write every row anew."
        )
    wanted, real = _column(spec.columns, name), _column(found.columns, name)
    if wanted is None:
        return _undeclared(name, spec, found)
    if real is None:
        return _not_to_be_added(wanted)
    return _narrowed(wanted, real, found)


def _undeclared(name: str, spec: TableSpec, found: FoundTable) -> str:
    twin = _renamed_to(name, spec, found)
    if twin:
        return (
            f"Declare {name} again beside {twin}, and copy its values: a column is not renamed, and dropping it would "
            "lose them."
        )
    return f"Declare {name} again, or drop it by hand: a column that is not declared is never dropped."


def _renamed_to(name: str, spec: TableSpec, found: FoundTable) -> str | None:
    """The one declared column that is missing and looks like this one, if there is exactly one."""
    real = _column(found.columns, name)
    present = {column.name for column in found.columns}
    alike = [
        column.name
        for column in spec.columns
        if column.name not in present and real is not None and column.type == real.type
    ]
    return alike[0] if len(alike) == 1 else None


def _not_to_be_added(wanted: Column) -> str | None:
    if wanted.mode is not ColumnMode.REQUIRED:
        return None
    return f"Declare {wanted.name} NULLABLE: the rows that are there have no value for a new REQUIRED column."


def _narrowed(wanted: Column, real: Column, found: FoundTable) -> str | None:
    if (wanted.mode, real.mode) == (ColumnMode.REQUIRED, ColumnMode.NULLABLE):
        return f"Declare {wanted.name} NULLABLE again: rows that are there may be empty in it."
    if ColumnMode.REPEATED in {wanted.mode, real.mode} and wanted != real:
        return (
            f"Add a new column instead of {wanted.name}: BigQuery does not make {in_words(real)} "
            f"into {in_words(wanted)}."
        )
    if wanted.type == real.type:
        return None
    if not _is_wider(wanted.type, real.type):
        return f"Add a new column instead of {wanted.name}: {wanted.type} does not hold every {real.type}."
    if wanted.name in found.clustering:
        return f"Leave {wanted.name} a {real.type}: the table is clustered by it, and its rows lie in that order."
    return None


def _is_wider(wanted: str, real: str) -> bool:
    """Whether every value of the real type has its place in the wanted one; parameters only ever limit a type."""
    base = real.partition("(")[0]
    return wanted == base or wanted in WIDER.get(base, frozenset())


def _column(columns: tuple[Column, ...], name: str) -> Column | None:
    return next((column for column in columns if column.name == name), None)
