"""A table and the backup of it are compared, before a restore and after it.

What belongs here: asking BigQuery. What the answer means is `compared.py`.
"""

from google.cloud.bigquery import ScalarQueryParameter, Table

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.row_sql import RowPair, compare_rows
from convergence_orchestration.warehouse.backups.columns import (
    declared_in,
    required_and_absent,
    undeclared_in,
)
from convergence_orchestration.warehouse.backups.compared import ComparedTable, Counts
from convergence_orchestration.warehouse.backups.model import BackedUpTable, Scope
from convergence_orchestration.warehouse.backups.rules import Rule, rule_of
from convergence_orchestration.warehouse.backups.taking import rows_and_checksum
from convergence_orchestration.warehouse.drift import differences
from convergence_orchestration.warehouse.found import found_by_metadata
from convergence_orchestration.warehouse.migration import plan
from convergence_orchestration.warehouse.model import TableSpec


def compare(bigquery: BigQuery, scope: Scope, spec: TableSpec, kept: BackedUpTable) -> ComparedTable:
    """How the real table stands beside its backup; nothing is changed."""
    copy = copy_of(bigquery, kept.snapshot)
    real = bigquery.get_table(scope.dataset_id, spec.name)
    planned = plan(spec, found_by_metadata(real))
    return ComparedTable(
        spec=spec,
        rule=rule_of(spec),
        kept=kept,
        counts=_counts(bigquery, spec, copy, real) if real else Counts(0, kept.rows, kept.rows),
        is_missing=real is None,
        differences=differences(spec, found_by_metadata(real)),
        can_migrate=real is not None and planned.is_needed,
        lost_columns=undeclared_in(spec, real),
        unread_columns=undeclared_in(spec, copy),
        unfilled_columns=required_and_absent(spec, copy),
        unkept_columns=required_and_absent(spec, real) if real else (),
    )


def check_intact(bigquery: BigQuery, kept: BackedUpTable) -> None:
    """Make sure that a copy has the very rows that it had when it was taken.

    Raises:
        PermanentError: FAILED_PRECONDITION.
    """
    rows, checksum = rows_and_checksum(bigquery, copy_of(bigquery, kept.snapshot))
    if (rows, checksum) != (kept.rows, kept.checksum):
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Choose another backup: {kept.snapshot} has {rows} rows and had {kept.rows}, or their contents differ.",
        )


def copy_of(bigquery: BigQuery, snapshot: str) -> Table:
    """The copy as BigQuery tells of it.

    Raises:
        PermanentError: NOT_FOUND.
    """
    found = bigquery.get_table(*snapshot.split("."))
    if found is None:
        raise PermanentError(ErrorCode.NOT_FOUND, f"Choose another backup: {snapshot} is not there any more.")
    return found


def row_pair(project: str, spec: TableSpec, copy: Table, real: Table) -> RowPair:
    """Both tables with the declared columns that both have."""
    rule = rule_of(spec)
    in_real = {column.name for column in declared_in(spec, real)}
    columns = [column for column in declared_in(spec, copy) if column.name in in_real]
    return RowPair(
        kept=(project, copy.dataset_id, copy.table_id),
        present=(project, real.dataset_id, real.table_id),
        columns=columns,
        keys=rule.keys,
        final_column=_final_column(rule, {column.name for column in columns}),
    )


def final_parameter(spec: TableSpec) -> list[ScalarQueryParameter]:
    """The parameter of the statements over a `row_pair`."""
    return [ScalarQueryParameter("final", "STRING", rule_of(spec).final)]


def _counts(bigquery: BigQuery, spec: TableSpec, copy: Table, real: Table) -> Counts:
    pair = row_pair(bigquery.project, spec, copy, real)
    absent = set(pair.keys) - {column.name for column in pair.columns}
    if absent:
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Recreate {real.dataset_id}.{spec.name} by the job `bootstrap` first: without {', '.join(sorted(absent))} "
            "its rows cannot be told apart.",
        )
    row = bigquery.query(compare_rows(pair), final_parameter(spec))[0]
    return Counts(**{name: int(count) for name, count in row.items()})


def _final_column(rule: Rule, names: set[str]) -> str:
    return rule.final_column if rule.final_column in names else rule.keys[0]
