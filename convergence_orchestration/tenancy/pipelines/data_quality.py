"""The pipeline `data_quality`: whether a tenant's tables are as declared, can be read, and are fresh.

What belongs here: looking at one table, and the checks as a pure function of what was seen. Writing them down is
`results.py`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.sql import select_newest
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.warehouse.drift import differences
from convergence_orchestration.warehouse.found import found_by_metadata
from convergence_orchestration.warehouse.model import SchemaDifference, TableSpec, tenant_dataset

_TIME_COLUMNS = ("recorded_at", "updated_at")


class Severity(StrEnum):
    """What a failed check means."""

    WARNING = "WARNING"
    ERROR = "ERROR"


@dataclass(frozen=True)
class Seen:
    """What a look at a table found; without `rows` nobody could count them: it is not there, or not as it should be."""

    differences: tuple[SchemaDifference, ...]
    rows: int | None = None
    newest: datetime | None = None


@dataclass(frozen=True)
class Check:
    """One check of one table, in words for a person."""

    name: str
    table: str
    severity: Severity
    passed: bool
    expected: str
    observed: str
    column: str | None = None
    checked_rows: int | None = None


def look_at(bigquery: BigQuery, tenant_id: TenantId, spec: TableSpec) -> Seen:
    """The tenant's table as it is now. Errors are those of `gcp.bigquery`."""
    dataset_id = tenant_dataset(tenant_id)
    found = differences(spec, found_by_metadata(bigquery.get_table(dataset_id, spec.name)))
    column = time_column(spec)
    if any(difference.column in {"(table)", column} for difference in found):
        return Seen(found)
    (row,) = bigquery.query(select_newest(bigquery.project, dataset_id, spec.name, column))
    return Seen(found, int(row["row_count"]), row["newest"])


def checks_of(spec: TableSpec, seen: Seen, max_age: timedelta, now: datetime) -> list[Check]:
    """The checks of one table, in a fixed order."""
    return [_columns(spec, seen), _rows(spec, seen), _freshness(spec, seen, max_age, now)]


def time_column(spec: TableSpec) -> str:
    """The column that says when a row of the table was written.

    Raises:
        PermanentError: INVALID_CATALOGUE if the table is declared without one.
    """
    names = {column.name for column in spec.columns}
    for name in _TIME_COLUMNS:
        if name in names:
            return name
    raise PermanentError(
        ErrorCode.INVALID_CATALOGUE,
        f"Declare {' or '.join(_TIME_COLUMNS)} in tenant/{spec.name}.yaml: without it nobody knows how fresh it is.",
    )


def _columns(spec: TableSpec, seen: Seen) -> Check:
    wrong = "; ".join(f"{one.column}: {one.found}, not {one.declared}" for one in seen.differences)
    return Check(
        name="columns_as_declared",
        table=spec.name,
        severity=Severity.ERROR,
        passed=not seen.differences,
        expected=f"{len(spec.columns)} columns as declared",
        observed=wrong or "as declared",
    )


def _rows(spec: TableSpec, seen: Seen) -> Check:
    return Check(
        name="rows_countable",
        table=spec.name,
        severity=Severity.ERROR,
        passed=seen.rows is not None,
        expected="rows that can be counted",
        observed="they cannot" if seen.rows is None else f"{seen.rows} rows",
        checked_rows=seen.rows,
    )


def _freshness(spec: TableSpec, seen: Seen, max_age: timedelta, now: datetime) -> Check:
    """An empty table is not stale: nothing was promised to be in it."""
    is_fresh = seen.rows == 0 or (seen.newest is not None and now - seen.newest <= max_age)
    newest = f"newest row of {seen.newest:%Y-%m-%d %H:%M:%S} UTC" if seen.newest else "no row"
    return Check(
        name="freshness",
        table=spec.name,
        severity=Severity.WARNING,
        passed=is_fresh,
        expected=f"a row of the last {max_age / timedelta(hours=1):g} hours, or none at all",
        observed=newest,
        column=time_column(spec),
        checked_rows=seen.rows,
    )
