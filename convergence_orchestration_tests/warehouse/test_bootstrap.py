import pytest
from google.cloud import bigquery

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError
from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.bootstrap import (
    Action,
    ensure_dataset,
    ensure_tables,
    remove_dataset,
    remove_tables,
)
from convergence_orchestration.warehouse.model import CENTRAL_DATASET, SNAPSHOT_DATASET
from convergence_orchestration_tests.emulators import EmulatedSettings, Emulator
from convergence_orchestration_tests.gcp.faults import faults
from convergence_orchestration_tests.warehouse.builders import (
    NOON,
    alert,
    append_events,
    connected,
    specs,
    with_tables,
)


def test_the_dataset_is_made_once(settings: Settings) -> None:
    warehouse = connected(settings)

    assert [ensure_dataset(warehouse), ensure_dataset(warehouse)] == [Action.CREATED, Action.EXISTED]


def test_a_dataset_in_another_location_is_refused(
    emulated_settings: EmulatedSettings, settings: Settings
) -> None:
    ensure_dataset(connected(settings))
    in_europe = emulated_settings(settings.gcp_project_id, bigquery_location="EU")

    with pytest.raises(PermanentError, match="Set BIGQUERY_LOCATION=US") as caught:
        ensure_dataset(connected(in_europe))

    assert caught.value.code is ErrorCode.FAILED_PRECONDITION


def test_tables_are_made_with_their_views_and_then_left_alone(settings: Settings) -> None:
    warehouse = connected(settings)
    ensure_dataset(warehouse)
    wanted = specs("tenant_requests", "alerts")

    first = {outcome.spec.name: outcome for outcome in ensure_tables(warehouse, wanted)}
    append_events(warehouse, "alerts", alert("a"))
    second = {outcome.spec.name: outcome for outcome in ensure_tables(warehouse, wanted)}

    assert {outcome.action for outcome in first.values()} == {Action.CREATED}
    assert first["tenant_requests"].views == ("tenant_requests_events", "tenant_requests_current")
    assert {outcome.action for outcome in second.values()} == {Action.EXISTED}
    assert second["tenant_requests"].views == ()
    assert (second["alerts"].rows, second["tenant_requests"].rows) == (1, 0)


def test_a_table_that_differs_is_left_as_it_is(settings: Settings) -> None:
    warehouse = connected(settings)
    ensure_dataset(warehouse)
    other = bigquery.SchemaField("something_else", "STRING")
    warehouse.create_table(bigquery.Table(f"{warehouse.project}.tenants.alerts", schema=[other]))

    outcome = next(ensure_tables(warehouse, specs("alerts")))

    left = warehouse.get_table(CENTRAL_DATASET, "alerts")
    assert outcome.action is Action.EXISTED
    assert left is not None
    assert [field.name for field in left.schema] == ["something_else"]


def test_a_view_whose_text_differs_is_made_anew(settings: Settings) -> None:
    warehouse = with_tables(settings, "tenant_requests")
    warehouse.delete_table(CENTRAL_DATASET, "tenant_requests_current")
    old = bigquery.Table(f"{warehouse.project}.tenants.tenant_requests_current")
    old.view_query = "SELECT request_id FROM tenants.tenant_requests"
    warehouse.create_table(old)

    outcome = next(ensure_tables(warehouse, specs("tenant_requests")))

    assert outcome.views == ("tenant_requests_current",)
    assert warehouse.query("SELECT idempotency_key FROM tenants.tenant_requests_current") == []


def test_recreated_tables_are_empty_and_their_rows_are_in_the_snapshots(settings: Settings) -> None:
    warehouse = with_tables(settings, "alerts", "tenant_requests")
    append_events(warehouse, "alerts", alert("a"), alert("b"))

    removed = remove_tables(warehouse, ["alerts"], NOON)
    outcome = next(ensure_tables(warehouse, specs("alerts"), removed))

    assert outcome.action is Action.RECREATED
    assert outcome.snapshot == "tenants_snapshots.alerts_20261123T120000Z"
    assert warehouse.count_rows(CENTRAL_DATASET, "alerts") == 0
    assert warehouse.count_rows(SNAPSHOT_DATASET, "alerts_20261123T120000Z") == 2


def test_a_recreated_dataset_has_a_snapshot_of_every_table_declared_or_not(settings: Settings) -> None:
    warehouse = with_tables(settings, "alerts", "tenant_requests")
    append_events(warehouse, "alerts", alert("a"))
    warehouse.execute("CREATE TABLE tenants.by_hand AS SELECT 1 AS n")

    removed = remove_dataset(warehouse, NOON)
    gone = warehouse.get_dataset(CENTRAL_DATASET)
    action = ensure_dataset(warehouse, removed)
    outcome = next(ensure_tables(warehouse, specs("alerts"), removed))

    assert gone is None
    assert (action, outcome.action) == (Action.RECREATED, Action.RECREATED)
    assert set(removed.snapshots) == {"alerts", "by_hand", "tenant_requests"}
    assert warehouse.count_rows(SNAPSHOT_DATASET, "by_hand_20261123T120000Z") == 1


def test_there_is_nothing_to_recreate_before_the_first_bootstrap(settings: Settings) -> None:
    warehouse = connected(settings)

    assert remove_dataset(warehouse, NOON).snapshots == {}
    assert remove_tables(warehouse, ["alerts"], NOON).tables == frozenset()
    assert ensure_dataset(warehouse) is Action.CREATED


def test_nothing_is_deleted_unless_every_snapshot_was_taken(
    settings: Settings, local_bigquery: Emulator
) -> None:
    warehouse = with_tables(settings, "alerts", "schema_versions", "sealed_keys")
    append_events(warehouse, "alerts", alert("a"))
    one_copy_fails = {
        "method": f"POST */projects/{warehouse.project}/jobs",
        "code": 400,
        "reason": "invalid",
        "every": 3,
    }

    for remove in (
        remove_dataset,
        lambda client, now: remove_tables(client, ["alerts", "schema_versions", "sealed_keys"], now),
    ):
        with faults(local_bigquery, one_copy_fails), pytest.raises(ConvergenceError):
            remove(warehouse, NOON)

        assert {"alerts", "schema_versions", "sealed_keys"} <= set(warehouse.list_tables(CENTRAL_DATASET))
        assert warehouse.count_rows(CENTRAL_DATASET, "alerts") == 1
        warehouse.delete_dataset(SNAPSHOT_DATASET)


def test_a_recreation_that_stopped_between_two_deletions_is_finished_by_the_next(
    settings: Settings, local_bigquery: Emulator
) -> None:
    names = ("alerts", "schema_versions", "sealed_keys")
    warehouse = with_tables(settings, *names)
    append_events(warehouse, "alerts", alert("a"))
    second_deletion_fails = {
        "method": f"DELETE */projects/{warehouse.project}/*/tables/schema_versions",
        "code": 403,
        "reason": "accessDenied",
    }
    with faults(local_bigquery, second_deletion_fails), pytest.raises(ConvergenceError):
        remove_tables(warehouse, names, NOON)
    stopped_at = warehouse.list_tables(CENTRAL_DATASET)

    outcomes = {outcome.spec.name: outcome.action for outcome in ensure_tables(warehouse, specs(*names))}

    assert stopped_at == ["schema_versions", "sealed_keys"]
    assert outcomes == {
        "alerts": Action.CREATED,
        "schema_versions": Action.EXISTED,
        "sealed_keys": Action.EXISTED,
    }
    assert warehouse.count_rows(SNAPSHOT_DATASET, "alerts_20261123T120000Z") == 1


def test_a_bootstrap_that_failed_half_way_is_finished_by_the_next(
    settings: Settings, local_bigquery: Emulator
) -> None:
    names = ("alerts", "audit_log", "schema_versions", "sealed_keys", "tenant_profiles", "tenant_requests")
    warehouse = connected(settings)
    ensure_dataset(warehouse)
    third_creation_fails = {
        "method": f"POST */projects/{warehouse.project}/*/tables",
        "code": 403,
        "reason": "accessDenied",
        "every": 3,
        "times": 1,
    }

    with faults(local_bigquery, third_creation_fails), pytest.raises(ConvergenceError):
        list(ensure_tables(warehouse, specs(*names)))
    left = len(warehouse.list_tables(CENTRAL_DATASET))
    list(ensure_tables(warehouse, specs(*names)))

    assert left < len(names)
    assert set(names) <= set(warehouse.list_tables(CENTRAL_DATASET))
