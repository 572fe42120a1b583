"""Makes one real table as declared, where that loses nothing: looks, changes, looks again.

What belongs here: one table. It is planned from what BigQuery has this moment, so a migration that was cut off is
finished by running it again. Which tables, in which order, and who hears of it are for the caller.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.sql import NewColumn, add_columns, drop_not_null, set_data_type
from convergence_orchestration.warehouse.catalogue import to_bigquery
from convergence_orchestration.warehouse.drift import differences
from convergence_orchestration.warehouse.found import found_by_metadata
from convergence_orchestration.warehouse.migration import Change, ChangeKind, TablePlan, plan
from convergence_orchestration.warehouse.model import (
    Column,
    ColumnMode,
    FoundTable,
    SchemaDifference,
    TableSpec,
)

_UPDATES_AT_ONCE: Final = 5
_UPDATES_SECONDS: Final = 10.0
"""BigQuery takes five updates of one table's metadata in ten seconds."""

type Pause = Callable[[float], None]


@dataclass(frozen=True)
class Migrated:
    """What became of one table.

    Attributes:
        plan: what was found to do, from the table as it was.
        statements: what was run.
        remaining: how the table differs now; what was refused is among it.
    """

    dataset_id: str
    plan: TablePlan
    statements: tuple[str, ...]
    remaining: tuple[SchemaDifference, ...]

    @property
    def is_as_declared(self) -> bool:
        """Whether nothing is left to do."""
        return not self.remaining


def migrate_table(
    bigquery: BigQuery, dataset_id: str, spec: TableSpec, pause: Pause = time.sleep
) -> Migrated:
    """Change the table as its plan says, and look at it again; a table with a refusal stays as it is.

    Raises:
        As `gcp.bigquery`; NOT_FOUND if there is no such dataset. The same call continues.
    """
    planned = plan(spec, _found(bigquery, dataset_id, spec))
    done: list[str] = []
    for change in planned.changes:
        if done and len(done) % _UPDATES_AT_ONCE == 0:
            pause(_UPDATES_SECONDS)
        _apply(bigquery, dataset_id, spec, change)
        done.append(statement(bigquery.project, dataset_id, spec, change))
    remaining = differences(spec, _found(bigquery, dataset_id, spec))
    return Migrated(dataset_id, planned, tuple(done), remaining)


def statement(project: str, dataset_id: str, spec: TableSpec, change: Change) -> str:
    """The change as a person reads it: its DDL, or that the table is created as declared."""
    if change.kind is ChangeKind.CREATE_TABLE:
        return f"tables.insert {project}.{dataset_id}.{spec.name} as version {spec.version} declares it"
    table = (project, dataset_id, spec.name)
    if change.kind is ChangeKind.ADD_COLUMNS:
        return add_columns(table, [_new(column) for column in change.columns]).strip()
    (column,) = change.columns
    if change.kind is ChangeKind.DROP_NOT_NULL:
        return drop_not_null(table, column.name).strip()
    return set_data_type(table, column.name, column.type).strip()


def _apply(bigquery: BigQuery, dataset_id: str, spec: TableSpec, change: Change) -> None:
    if change.kind is ChangeKind.CREATE_TABLE:
        bigquery.create_table(to_bigquery(spec, bigquery.project, dataset_id))
    else:
        bigquery.execute(statement(bigquery.project, dataset_id, spec, change))


def _found(bigquery: BigQuery, dataset_id: str, spec: TableSpec) -> FoundTable | None:
    """By tables.get: INFORMATION_SCHEMA is some time behind a change."""
    return found_by_metadata(bigquery.get_table(dataset_id, spec.name))


def _new(column: Column) -> NewColumn:
    kind = f"ARRAY<{column.type}>" if column.mode is ColumnMode.REPEATED else str(column.type)
    return NewColumn(column.name, kind, column.description)
