from collections.abc import Iterator

import pytest
from google.cloud import bigquery
from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.catalogue import tenant_tables, to_bigquery
from convergence_orchestration.warehouse.fleet import ColumnRow, FleetDrift, compare, fleet_drift
from convergence_orchestration.warehouse.model import SchemaDifference
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults
from convergence_orchestration_tests.warehouse.builders import connected, facts_of

COST, DQ, *_ = TABLES = tenant_tables()
COLUMNS = sum(len(spec.columns) for spec in TABLES)


def rows_of(dataset_id: str, *, lacks: str = "", only: int = len(TABLES)) -> Iterator[ColumnRow]:
    """A dataset as declared, but for a column of this name and for the tables behind the first few."""
    for spec in TABLES[:only]:
        for facts in facts_of(spec):
            if facts.name != lacks:
                yield ColumnRow(dataset_id, spec.name, facts)


def with_dataset(warehouse: BigQuery, dataset_id: str, *, only: int = len(TABLES)) -> None:
    warehouse.create_dataset(dataset_id, description="Of this test.", labels={})
    for spec in TABLES[:only]:
        warehouse.create_table(to_bigquery(spec, warehouse.project, dataset_id))


def test_datasets_as_declared_do_not_differ() -> None:
    rows = [*rows_of("tenant_a"), *rows_of("tenant_b")]

    assert compare(rows, ["tenant_a", "tenant_b"], TABLES) == FleetDrift((), 2, 10, 2 * COLUMNS, 0)


def test_each_difference_is_told_with_its_dataset() -> None:
    rows = [*rows_of("tenant_a"), *rows_of("tenant_b", lacks="credits"), *rows_of("tenant_c", only=4)]

    drift = compare(rows, {"tenant_a", "tenant_b", "tenant_c"}, TABLES)

    assert [(each.dataset_id, each.differences) for each in drift.drifting] == [
        ("tenant_b", (SchemaDifference("cost_billing", "credits", "NUMERIC NULLABLE", "-"),)),
        ("tenant_c", (SchemaDifference("usage_daily", "(table)", "a table", "-"),)),
    ]
    (cost,) = drift.drifting[0].tables
    assert cost.found is not None
    assert cost.spec == COST


def test_a_dataset_that_is_not_there_is_one_difference() -> None:
    drift = compare(rows_of("tenant_b"), ["tenant_a", "tenant_b"], TABLES)

    (missing,) = drift.drifting
    assert (missing.dataset_id, missing.has_tables) == ("tenant_a", False)
    assert missing.differences == (SchemaDifference("(dataset)", "(dataset)", "5 tables", "-"),)
    assert [table.found for table in missing.tables] == [None] * 5


def test_datasets_that_nobody_expects_are_counted_and_tables_that_nobody_declared_are_left_out() -> None:
    own = ColumnRow("tenant_a", "their_own", facts_of(COST)[0])

    drift = compare([*rows_of("tenant_a"), own, *rows_of("tenant_leaving")], ["tenant_a"], TABLES)

    assert (drift.drifting, drift.others, drift.tables) == ((), 1, 5)


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 5), st.sampled_from(["", "credits", "step"])), max_size=6
    )
)
def test_a_dataset_is_told_exactly_if_it_differs(made: list[tuple[bool, int, str]]) -> None:
    names = [f"tenant_{number}" for number in range(len(made))]
    rows = [
        row
        for name, (is_there, only, lacks) in zip(names, made, strict=True)
        if is_there
        for row in rows_of(name, only=only, lacks=lacks)
    ]

    drift = compare(rows, names, TABLES)

    assert [each.dataset_id for each in drift.drifting] == [
        name
        for name, (is_there, only, lacks) in zip(names, made, strict=True)
        if not (is_there and only == len(TABLES) and not lacks)
    ]
    assert drift.columns == len(rows)


def test_one_query_tells_how_the_real_tables_differ(settings: Settings) -> None:
    warehouse = connected(settings)
    with_dataset(warehouse, "tenant_right")
    with_dataset(warehouse, "tenant_lacks", only=1)
    with_dataset(warehouse, "tenant_other")
    warehouse.execute("ALTER TABLE tenant_right.step_logs ADD COLUMN note STRING")
    warehouse.delete_table("tenant_lacks", "cost_billing")
    warehouse.create_table(
        bigquery.Table(
            f"{warehouse.project}.tenant_lacks.cost_billing", schema=[bigquery.SchemaField("cost", "FLOAT64")]
        )
    )

    drift = fleet_drift(warehouse, ["tenant_right", "tenant_lacks", "tenant_gone"], TABLES)

    found = {each.dataset_id: each.differences for each in drift.drifting}
    assert list(found) == ["tenant_gone", "tenant_lacks", "tenant_right"]
    assert found["tenant_right"] == (SchemaDifference("step_logs", "note", "-", "STRING NULLABLE"),)
    assert (
        SchemaDifference("cost_billing", "cost", "NUMERIC REQUIRED", "FLOAT64 NULLABLE")
        in found["tenant_lacks"]
    )
    assert (
        SchemaDifference("cost_billing", "(partitioning)", "DAY of billing_date", "-")
        in found["tenant_lacks"]
    )
    assert SchemaDifference("dq_results", "(table)", "a table", "-") in found["tenant_lacks"]
    assert (drift.datasets, drift.others) == (3, 0)


def test_a_fleet_too_large_to_be_named_is_read_whole(settings: Settings) -> None:
    warehouse = connected(settings)
    for dataset_id in ("tenant_a", "tenant_b", "tenant_leaving", "elsewhere"):
        with_dataset(warehouse, dataset_id)

    drift = fleet_drift(warehouse, ["tenant_a", "tenant_b"], TABLES, most_named=1)

    assert drift == FleetDrift((), 2, 10, 2 * COLUMNS, 1)


def test_a_failed_read_is_no_answer(settings: Settings, local_bigquery: Emulator) -> None:
    refusal = {"method": f"*/projects/{settings.gcp_project_id}/*", "code": 403, "reason": "accessDenied"}

    with faults(local_bigquery, refusal), pytest.raises(PermanentError) as caught:
        fleet_drift(connected(settings), ["tenant_a"], TABLES)

    assert caught.value.code is ErrorCode.PERMISSION_DENIED


def test_seeing_nothing_at_all_is_no_finding_about_the_tenants(settings: Settings) -> None:
    with pytest.raises(PermanentError, match="Check BIGQUERY_LOCATION") as caught:
        fleet_drift(connected(settings), ["tenant_a", "tenant_b"], TABLES)

    assert caught.value.code is ErrorCode.FAILED_PRECONDITION


def test_without_tenants_nothing_is_asked(settings: Settings, local_bigquery: Emulator) -> None:
    with faults(local_bigquery, {"method": "*", "code": 403}):
        assert fleet_drift(connected(settings), [], TABLES) == FleetDrift((), 0, 0, 0, 0)
