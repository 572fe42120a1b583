"""A table that is not as declared is deleted and made anew with its rows, in a way that no kill leaves it without them.

What belongs here: the copy `recreating__...`, which exists exactly while a table may lack rows that it had. Whoever restores
next puts them back first. What was appended between the copy and the deletion is lost, so nobody else should write then.
"""

import re
from datetime import datetime, timedelta
from typing import Final

from google.cloud.bigquery import Table

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.row_sql import insert_missing, merge_back, merge_missing, select_checksum
from convergence_orchestration.warehouse.backups.columns import declared_in
from convergence_orchestration.warehouse.backups.comparing import copy_of, final_parameter, row_pair
from convergence_orchestration.warehouse.backups.model import BACKUP_DATASET, Scope
from convergence_orchestration.warehouse.backups.rules import Way, rule_of
from convergence_orchestration.warehouse.bootstrap import ensure_tables
from convergence_orchestration.warehouse.catalogue import to_bigquery
from convergence_orchestration.warehouse.drift import differences
from convergence_orchestration.warehouse.found import found_by_metadata
from convergence_orchestration.warehouse.model import TableSpec
from convergence_orchestration.warehouse.snapshots import SnapshotSet, snapshot_tables

_KEPT: Final = timedelta(days=30)
_STATEMENTS: Final = {Way.EVENTS: insert_missing, Way.ROWS: merge_missing, Way.BACK: merge_back}


def recreate(bigquery: BigQuery, scope: Scope, spec: TableSpec, now: datetime) -> None:
    """Delete a table that differs from its declaration and make it anew, with the rows that it had.

    Called again after a kill, or for a table that is as declared, it does what is left to do.
    """
    real = bigquery.get_table(scope.dataset_id, spec.name)
    if real is not None and differences(spec, found_by_metadata(real)):
        aside = SnapshotSet(scope.dataset_id, BACKUP_DATASET, _prefix(scope), now, now + _KEPT)
        snapshot_tables(bigquery, aside, [spec.name])
        _check_that_rows_fit(bigquery, spec, real)
        bigquery.delete_table(scope.dataset_id, spec.name)
    ensure(bigquery, scope, spec)
    put_back_what_is_aside(bigquery, scope, spec)


def ensure(bigquery: BigQuery, scope: Scope, spec: TableSpec) -> Table:
    """Make the table as declared if it is missing, and the views over it; the table."""
    if scope.tenant_id:
        if bigquery.get_table(scope.dataset_id, spec.name) is None:
            bigquery.create_table(to_bigquery(spec, bigquery.project, scope.dataset_id))
    else:
        for _ in ensure_tables(bigquery, [spec]):
            pass
    return copy_of(bigquery, f"{scope.dataset_id}.{spec.name}")


def put_back_what_is_aside(bigquery: BigQuery, scope: Scope, spec: TableSpec) -> None:
    """Put the rows of a recreation that was cut off back where they are missing, the newest first."""
    for name in sorted(_aside(bigquery, scope, spec), reverse=True):
        way = rule_of(spec).way
        bring(bigquery, scope, spec, f"{BACKUP_DATASET}.{name}", Way.ROWS if way is Way.BACK else way)
        bigquery.delete_table(BACKUP_DATASET, name)


def bring(bigquery: BigQuery, scope: Scope, spec: TableSpec, copy: str, way: Way) -> None:
    """Bring the rows of a copy (`dataset.table`) into the table by one statement, all or none of them."""
    real = ensure(bigquery, scope, spec)
    pair = row_pair(bigquery.project, spec, copy_of(bigquery, copy), real)
    bigquery.execute(_STATEMENTS[way](pair), final_parameter(spec) if way is Way.BACK else [])


def is_cut_off(bigquery: BigQuery, scope: Scope, spec: TableSpec) -> bool:
    """Whether rows of the table are aside."""
    return bool(_aside(bigquery, scope, spec))


def _check_that_rows_fit(bigquery: BigQuery, spec: TableSpec, real: Table) -> None:
    """Read every row as it will be written: a value that does not fit its declared type fails here."""
    bigquery.query(
        select_checksum((bigquery.project, real.dataset_id, real.table_id), declared_in(spec, real))
    )


def _aside(bigquery: BigQuery, scope: Scope, spec: TableSpec) -> list[str]:
    ours = re.compile(rf"{re.escape(_prefix(scope) + spec.name)}_\d{{8}}T\d{{6}}Z")
    return [name for name in bigquery.list_tables(BACKUP_DATASET) if ours.fullmatch(name)]


def _prefix(scope: Scope) -> str:
    return f"recreating__{scope.dataset_id}__"
