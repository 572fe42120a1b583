from dataclasses import replace

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration.warehouse.schema_history import SchemaHistory, VersionEvent, VersionKind
from convergence_orchestration_tests.warehouse.builders import NOON, with_tables

COST, *_ = tenant_tables()


def event(dataset_id: str = "tenant_acme", kind: VersionKind = VersionKind.MIGRATED) -> VersionEvent:
    return VersionEvent(dataset_id, COST, kind, "somebody", "run-1", NOON, "ALTER TABLE ...")


def recorded(warehouse: BigQuery) -> list[dict[str, object]]:
    rows = warehouse.query(
        "SELECT dataset_id, tenant_id, kind, version, statement FROM tenants.schema_versions"
    )
    return [dict(row) for row in rows]


def test_an_event_is_appended_once_whoever_says_it_again(settings: Settings) -> None:
    warehouse = with_tables(settings, "schema_versions")
    history = SchemaHistory(warehouse)

    assert history.append([event()]) == 1
    assert history.append([event(kind=VersionKind.FOUND)], known=history.event_ids("tenant_")) == 0

    assert recorded(warehouse) == [
        {
            "dataset_id": "tenant_acme",
            "tenant_id": "acme",
            "kind": "MIGRATED",
            "version": COST.version,
            "statement": "ALTER TABLE ...",
        }
    ]


def test_an_event_about_a_central_table_names_no_tenant(settings: Settings) -> None:
    warehouse = with_tables(settings, "schema_versions")

    SchemaHistory(warehouse).append([replace(event("tenants"), statement="")])

    assert [(row["tenant_id"], row["statement"]) for row in recorded(warehouse)] == [(None, None)]
    assert SchemaHistory(warehouse).event_ids("tenant_") == set()


def test_another_version_is_another_event() -> None:
    changed = replace(event(), spec=replace(COST, version=COST.version + 1))

    assert changed.event_id != event().event_id
    assert event(kind=VersionKind.FOUND).event_id == event().event_id
