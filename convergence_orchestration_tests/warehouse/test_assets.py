from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from convergence_orchestration.gcp.resources import settings_resources
from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.assets import (
    CENTRAL_GROUP,
    DATASET_KEY,
    column_schema,
    warehouse_assets,
)
from convergence_orchestration.warehouse.catalogue import central_tables
from convergence_orchestration.warehouse.checks import warehouse_checks
from convergence_orchestration.warehouse.jobs import warehouse_jobs
from convergence_orchestration.warehouse.model import CENTRAL_DATASET, Column, ColumnMode, TableSpec
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults
from convergence_orchestration_tests.warehouse.builders import alert, append_events, connected, with_tables

ALERTS = dg.AssetKey([CENTRAL_DATASET, "alerts"])
REQUESTS = dg.AssetKey([CENTRAL_DATASET, "tenant_requests"])


def definitions(settings: Settings) -> dg.Definitions:
    return dg.Definitions(
        assets=warehouse_assets(),
        asset_checks=warehouse_checks(),
        jobs=warehouse_jobs(),
        resources=settings_resources(settings),
        executor=dg.in_process_executor,
    )


def bootstrap(settings: Settings) -> dg.ExecuteInProcessResult:
    job = definitions(settings).resolve_job_def("bootstrap")
    return job.execute_in_process(raise_on_error=False)


def materialize(settings: Settings, *keys: dg.AssetKey, **config: bool) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        warehouse_assets(),
        selection=list(keys),
        resources=settings_resources(settings),
        run_config={"ops": {"central_tables": {"config": config}}},
        raise_on_error=False,
    )


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Mapping[str, object]]:
    """Metadata values by the asset's key."""
    return {
        event.asset_key.to_user_string(): {
            name: value.value
            for name, value in event.step_materialization_data.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }


def failure_of(result: dg.ExecuteInProcessResult, step: str) -> str:
    data = result.failure_data_for_node(step)
    assert data is not None
    assert data.user_failure_data is not None
    return data.user_failure_data.description or ""


def test_one_job_makes_an_empty_project_into_a_platform_and_finds_it_the_second_time(
    settings: Settings,
) -> None:
    first, second = bootstrap(settings), bootstrap(settings)

    made, found = metadata_of(first), metadata_of(second)
    tables = {f"{CENTRAL_DATASET}/{spec.name}" for spec in central_tables()}
    assert first.success
    assert second.success
    assert set(made) == {"tenants/dataset", *tables}
    assert {metadata["action"] for metadata in made.values()} == {"created"}
    assert {metadata["action"] for metadata in found.values()} == {"existed"}
    assert tables <= {f"tenants/{name}" for name in connected(settings).list_tables(CENTRAL_DATASET)}
    checked = first.get_asset_check_evaluations()
    assert {check.asset_key.to_user_string() for check in checked} == tables
    assert all(check.passed for check in checked)


def test_a_materialized_table_shows_where_it_is_and_what_is_in_it(settings: Settings) -> None:
    append_events(with_tables(settings, "alerts"), "alerts", alert("a"))

    metadata = metadata_of(materialize(settings, ALERTS))["tenants/alerts"]

    schema = metadata["dagster/column_schema"]
    assert metadata["dagster/row_count"] == 1
    assert metadata["dagster/table_name"] == f"{settings.gcp_project_id}.tenants.alerts"
    assert metadata["link"] == (
        f"{settings.bigquery_emulator_host}/bigquery/v2/projects/{settings.gcp_project_id}"
        "/datasets/tenants/tables/alerts"
    )
    assert isinstance(schema, dg.TableSchema)
    assert schema.columns[0].name == "event_id"


def test_some_tables_can_be_made_alone(settings: Settings) -> None:
    result = materialize(settings, ALERTS, REQUESTS)

    metadata = metadata_of(result)
    assert set(metadata) == {"tenants/alerts", "tenants/tenant_requests"}
    assert metadata["tenants/tenant_requests"]["views"] == "tenant_requests_events, tenant_requests_current"
    assert connected(settings).list_tables(CENTRAL_DATASET) == [
        "alerts",
        "tenant_requests",
        "tenant_requests_current",
        "tenant_requests_events",
    ]


def test_recreated_tables_name_their_snapshots(settings: Settings) -> None:
    warehouse = with_tables(settings, "alerts", "tenant_requests")
    append_events(warehouse, "alerts", alert("a"))

    metadata = metadata_of(materialize(settings, ALERTS, force_recreate_tables=True))

    snapshot = str(metadata["tenants/alerts"]["snapshot"])
    assert metadata["tenants/alerts"]["action"] == "recreated"
    assert snapshot.startswith("tenants_snapshots.alerts_")
    assert warehouse.count_rows(*snapshot.split(".")) == 1
    assert warehouse.count_rows(CENTRAL_DATASET, "alerts") == 0


def test_the_recreated_dataset_names_every_snapshot(settings: Settings) -> None:
    warehouse = with_tables(settings, "alerts")
    append_events(warehouse, "alerts", alert("a"))
    warehouse.execute("CREATE TABLE tenants.by_hand AS SELECT 1 AS n")

    result = materialize(settings, *all_keys(), force_recreate_dataset=True)

    metadata = metadata_of(result)
    snapshots = metadata["tenants/dataset"]["snapshots"]
    assert result.success
    assert metadata["tenants/dataset"]["action"] == "recreated"
    assert isinstance(snapshots, dict)
    assert set(snapshots) == {"alerts", "by_hand"}
    assert metadata["tenants/alerts"]["action"] == "recreated"
    assert metadata["tenants/audit_log"]["action"] == "created"
    assert warehouse.count_rows(*snapshots["alerts"].split(".")) == 1


def test_the_dataset_is_not_recreated_for_some_of_its_tables(settings: Settings) -> None:
    warehouse = with_tables(settings, "alerts")

    result = materialize(settings, DATASET_KEY, ALERTS, force_recreate_dataset=True)

    assert not result.success
    assert "Select every central table and the dataset" in failure_of(result, "central_tables")
    assert warehouse.get_table(CENTRAL_DATASET, "alerts") is not None


def test_a_failed_run_says_first_what_to_do(settings: Settings, local_bigquery: Emulator) -> None:
    refusal = {"method": f"*/projects/{settings.gcp_project_id}/*", "code": 403, "reason": "accessDenied"}

    with faults(local_bigquery, refusal):
        result = materialize(settings, ALERTS)

    data = result.failure_data_for_node("central_tables")
    assert data is not None
    assert data.user_failure_data is not None
    assert failure_of(result, "central_tables").startswith(
        "Permission denied while reading dataset tenants: grant the missing role with `gcloud projects "
    )
    assert data.user_failure_data.metadata["code"].value == "permission_denied"


def test_what_the_launchpad_asks_is_described_and_has_defaults(settings: Settings) -> None:
    config: Any = definitions(settings).resolve_job_def("bootstrap").run_config_schema.config_type

    for name in ("ops", "central_tables", "config"):
        config = config.fields[name].config_type
    fields = config.fields
    assert set(fields) == {"force_recreate_dataset", "force_recreate_tables"}
    for field in fields.values():
        assert field.default_value is False
        assert "snapshot" in field.description


def test_every_asset_says_what_it_is_and_to_which_group_it_belongs() -> None:
    specs = [spec for definition in warehouse_assets() for spec in definition.specs]

    assert {spec.group_name for spec in specs} == {CENTRAL_GROUP}
    assert all(spec.description and spec.kinds for spec in specs)
    assert len(specs) == len(central_tables()) + 1  # and the dataset


@pytest.mark.parametrize(
    ("mode", "shown", "is_nullable"),
    [
        (ColumnMode.NULLABLE, "STRING", True),
        (ColumnMode.REQUIRED, "STRING", False),
        (ColumnMode.REPEATED, "ARRAY<STRING>", True),
    ],
)
def test_a_column_is_shown_with_its_type(mode: ColumnMode, shown: str, *, is_nullable: bool) -> None:
    spec = TableSpec("some", "Some table.", (Column("name", "STRING", mode, "Its name."),))

    column = column_schema(spec).columns[0]

    assert (column.name, column.type, column.description) == ("name", shown, "Its name.")
    assert column.constraints.nullable is is_nullable


def all_keys() -> list[dg.AssetKey]:
    return [DATASET_KEY, *(dg.AssetKey([CENTRAL_DATASET, spec.name]) for spec in central_tables())]
