import dagster as dg
import pytest
from google.cloud import bigquery

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.resources import settings_resources
from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.catalogue import central_tables, to_bigquery
from convergence_orchestration.warehouse.central_migration import migrate_central_tables, plan_central_tables
from convergence_orchestration.warehouse.jobs import migrate_central_job
from convergence_orchestration.warehouse.migration import Refusal
from convergence_orchestration_tests.warehouse.builders import NOON, specs, with_tables


@pytest.fixture
def warehouse(settings: Settings) -> BigQuery:
    """An older installation: `alerts` lacks a column, `sealed_keys` has one too many, most tables are missing."""
    warehouse = with_tables(settings, "schema_versions", "audit_log")
    (alerts,) = specs("alerts")
    older = to_bigquery(alerts, warehouse.project, "tenants")
    older.schema = [field for field in older.schema if field.name != "threshold"]
    warehouse.create_table(older)
    (sealed_keys,) = specs("sealed_keys")
    other = to_bigquery(sealed_keys, warehouse.project, "tenants")
    other.schema = [*other.schema, bigquery.SchemaField("note", "STRING")]
    warehouse.create_table(other)
    return warehouse


def ran(settings: Settings, *, dry_run: bool) -> dg.ExecuteInProcessResult:
    config = {"ops": {"migrate_central": {"config": {} if dry_run else {"dry_run": False}}}}
    return migrate_central_job.execute_in_process(
        run_config=config,
        resources={"bigquery": settings_resources(settings)["bigquery"]},
        raise_on_error=False,
    )


def shown(result: dg.ExecuteInProcessResult, name: str) -> list[dict[str, object]]:
    (output,) = [event for event in result.all_events if event.is_successful_output]
    table = output.step_output_data.metadata[name]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


def columns(warehouse: BigQuery, table: str) -> list[str]:
    found = warehouse.get_table("tenants", table)
    return [field.name for field in found.schema] if found else []


def test_a_new_column_is_added_and_what_is_refused_stays(warehouse: BigQuery) -> None:
    plans = plan_central_tables(warehouse)

    (done,) = migrate_central_tables(warehouse, plans, actor="somebody", run_id="run-1", now=NOON)

    assert (done.plan.spec.name, done.is_as_declared) == ("alerts", True)
    assert "threshold" in columns(warehouse, "alerts")
    assert "note" in columns(warehouse, "sealed_keys")
    assert {each.spec.name: each.refusals for each in plans}["tenant_requests"] == (
        Refusal("(table)", "Run the job `bootstrap`: it is missing."),
    )
    rows = warehouse.query("SELECT table_name, kind FROM tenants.schema_versions ORDER BY table_name")
    assert [tuple(row.values()) for row in rows] == [  # type: ignore[no-untyped-call]
        ("alerts", "MIGRATED"),
        ("audit_log", "FOUND"),
        ("schema_versions", "FOUND"),
    ]


def test_a_second_migration_finds_nothing_to_do_and_says_nothing_again(warehouse: BigQuery) -> None:
    for run_id in ("run-1", "run-2"):
        plans = plan_central_tables(warehouse)
        migrate_central_tables(warehouse, plans, actor="somebody", run_id=run_id, now=NOON)

    assert not any(each.is_needed for each in plan_central_tables(warehouse))
    assert warehouse.count_rows("tenants", "schema_versions") == 3


def test_the_job_shows_what_it_would_do_and_changes_nothing_unless_told(
    settings: Settings, warehouse: BigQuery
) -> None:
    result = ran(settings, dry_run=True)

    assert result.success
    (statement,) = shown(result, "statements")
    assert str(statement["statement"]).startswith(f"ALTER TABLE `{settings.gcp_project_id}.tenants.alerts`")
    refused = {row["table"]: row for row in shown(result, "refused")}
    assert str(refused["sealed_keys"]["reason"]).startswith("Declare note again")
    assert len(refused) == len(central_tables()) - 3
    assert "threshold" not in columns(warehouse, "alerts")
    assert warehouse.count_rows("tenants", "schema_versions") == 0


def test_the_job_migrates_and_shows_each_table_as_materialized(
    settings: Settings, warehouse: BigQuery
) -> None:
    result = ran(settings, dry_run=False)

    assert result.success
    (event,) = result.get_asset_materialization_events()
    assert event.asset_key == dg.AssetKey(["tenants", "alerts"])
    assert event.materialization.metadata["action"].value == "migrated"
    assert "threshold" in columns(warehouse, "alerts")
