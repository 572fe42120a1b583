from datetime import timedelta

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.pipelines.data_quality import (
    Check,
    Seen,
    Severity,
    checks_of,
    look_at,
    time_column,
)
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration.warehouse.model import SchemaDifference, TableSpec, tenant_dataset
from convergence_orchestration_tests.tenancy.pipelines.builders import NOON, seconds

DAY = timedelta(hours=24)
(LOGS,) = (spec for spec in tenant_tables() if spec.name == "step_logs")


def by_name(seen: Seen, spec: TableSpec = LOGS) -> dict[str, Check]:
    return {check.name: check for check in checks_of(spec, seen, DAY, NOON)}


def failed(seen: Seen) -> set[str]:
    return {name for name, check in by_name(seen).items() if not check.passed}


def test_a_table_as_declared_with_new_rows_passes() -> None:
    assert failed(Seen((), 3, seconds(-60))) == set()
    assert by_name(Seen((), 3, seconds(-60)))["rows_countable"].checked_rows == 3


def test_an_empty_table_is_not_stale() -> None:
    assert failed(Seen((), 0, None)) == set()


def test_a_table_without_a_new_row_is_stale_which_is_a_warning() -> None:
    assert failed(Seen((), 3, NOON - DAY)) == set()
    stale = Seen((), 3, NOON - DAY - timedelta(seconds=1))
    assert failed(stale) == {"freshness"}
    check = by_name(stale)["freshness"]
    assert (check.severity, check.column, check.expected) == (
        Severity.WARNING,
        "recorded_at",
        "a row of the last 24 hours, or none at all",
    )


def test_a_column_that_is_not_as_declared_is_an_error_that_says_how() -> None:
    check = by_name(Seen((SchemaDifference("step_logs", "step", "STRING REQUIRED", "-"),), 0))[
        "columns_as_declared"
    ]
    assert (check.passed, check.severity) == (False, Severity.ERROR)
    assert check.observed == "step: -, not STRING REQUIRED"


def test_a_table_that_is_not_there_fails_every_check() -> None:
    gone = Seen((SchemaDifference("step_logs", "(table)", "a table", "-"),))
    assert failed(gone) == {"columns_as_declared", "rows_countable", "freshness"}


@pytest.mark.parametrize("spec", tenant_tables(), ids=lambda spec: spec.name)
def test_every_tenants_table_says_when_a_row_was_written(spec: TableSpec) -> None:
    assert time_column(spec) in {"recorded_at", "updated_at"}


def test_a_table_that_does_not_say_so_is_wrongly_declared() -> None:
    with pytest.raises(PermanentError) as raised:
        time_column(TableSpec("nothing", "", ()))
    assert raised.value.code is ErrorCode.INVALID_CATALOGUE


def test_a_look_at_a_real_table_and_at_one_that_is_gone_or_changed(bigquery: BigQuery, own: TenantId) -> None:
    dataset_id = tenant_dataset(own)
    assert look_at(bigquery, own, LOGS) == Seen((), 0, None)
    row = {"event_id": "e", "pipeline_run_id": "r", "step": "s", "severity": "INFO", "message": "m"}
    bigquery.append(dataset_id, "step_logs", [{**row, "recorded_at": NOON}])
    assert look_at(bigquery, own, LOGS) == Seen((), 1, NOON)

    bigquery.execute_in(dataset_id, "ALTER TABLE step_logs DROP COLUMN recorded_at")
    changed = look_at(bigquery, own, LOGS)
    assert ({one.column for one in changed.differences} >= {"recorded_at"}, changed.rows) == (True, None)

    bigquery.delete_table(dataset_id, "step_logs")
    assert [one.column for one in look_at(bigquery, own, LOGS).differences] == ["(table)"]
