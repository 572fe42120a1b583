import dagster as dg
from google.cloud import bigquery

from convergence_orchestration.gcp.resources import settings_resources
from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.assets import warehouse_assets
from convergence_orchestration.warehouse.catalogue import to_bigquery
from convergence_orchestration.warehouse.checks import SCHEMA_CHECK, warehouse_checks
from convergence_orchestration.warehouse.model import CENTRAL_DATASET
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults
from convergence_orchestration_tests.warehouse.builders import specs, with_tables


def checked(settings: Settings, *tables: str) -> dg.ExecuteInProcessResult:
    """The schema checks of these tables alone."""
    keys = [
        dg.AssetCheckKey(asset_key=dg.AssetKey([CENTRAL_DATASET, table]), name=SCHEMA_CHECK)
        for table in tables
    ]
    return dg.materialize(
        [*warehouse_assets(), *warehouse_checks()],
        selection=dg.AssetSelection.checks(*keys),
        resources=settings_resources(settings),
        raise_on_error=False,
    )


def test_tables_as_declared_pass(settings: Settings) -> None:
    with_tables(settings, "alerts", "sealed_keys")

    evaluations = checked(settings, "alerts", "sealed_keys").get_asset_check_evaluations()

    assert [evaluation.passed for evaluation in evaluations] == [True, True]


def test_a_table_that_differs_fails_with_a_table_of_differences(settings: Settings) -> None:
    warehouse = with_tables(settings)
    schema = [bigquery.SchemaField("key_id", "STRING", "REQUIRED"), bigquery.SchemaField("note", "STRING")]
    table = bigquery.Table(f"{warehouse.project}.tenants.sealed_keys", schema=schema)
    table.clustering_fields = ["key_id"]
    warehouse.create_table(table)

    evaluation = checked(settings, "sealed_keys").get_asset_check_evaluations()[0]

    found = evaluation.metadata["differences"]
    assert not evaluation.passed
    assert evaluation.severity is dg.AssetCheckSeverity.ERROR
    assert str(evaluation.description).startswith("Run the job `bootstrap` for tenants.sealed_keys alone")
    assert isinstance(found, dg.TableMetadataValue)
    assert {
        "table": "sealed_keys",
        "column": "ciphertext",
        "declared": "BYTES REQUIRED",
        "found": "-",
    } in [record.data for record in found.records]
    assert {"table": "sealed_keys", "column": "note", "declared": "-", "found": "STRING NULLABLE"} in [
        record.data for record in found.records
    ]


def test_a_table_that_lacks_a_column_alone_says_which_job_adds_it(settings: Settings) -> None:
    warehouse = with_tables(settings)
    (spec,) = specs("sealed_keys")
    older = to_bigquery(spec, warehouse.project, CENTRAL_DATASET)
    older.schema = [field for field in older.schema if field.name != "kms_key_version"]
    warehouse.create_table(older)

    evaluation = checked(settings, "sealed_keys").get_asset_check_evaluations()[0]

    assert str(evaluation.description).startswith("Run the job `migrate_central_tables`")


def test_a_missing_table_says_how_to_make_it(settings: Settings) -> None:
    evaluation = checked(settings, "alerts").get_asset_check_evaluations()[0]

    assert not evaluation.passed
    assert evaluation.description == "Run the job `bootstrap`: tenants.alerts is missing."


def test_a_table_that_cannot_be_read_fails_the_run_and_is_not_taken_for_wrong(
    settings: Settings, local_bigquery: Emulator
) -> None:
    refusal = {"method": f"*/projects/{settings.gcp_project_id}/*", "code": 403, "reason": "accessDenied"}

    with faults(local_bigquery, refusal):
        result = checked(settings, "alerts")

    assert not result.success
    assert result.get_asset_check_evaluations() == []
