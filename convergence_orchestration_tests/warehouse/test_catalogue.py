from pathlib import Path

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.warehouse.catalogue import (
    central_tables,
    load_tables,
    load_views,
    tenant_tables,
    to_bigquery,
    view_to_bigquery,
    views,
    views_over,
)
from convergence_orchestration.warehouse.model import (
    CENTRAL_DATASET,
    Column,
    ColumnMode,
    Partitioning,
    TableSpec,
    tenant_dataset,
)

TABLES = frozenset({"requests", "keys"})


def test_every_table_of_the_design_is_declared() -> None:
    assert {table.name for table in central_tables()} == {
        "tenant_requests",
        "tenant_profiles",
        "tenant_subscriptions",
        "tenant_usage_quotas",
        "api_key_events",
        "api_key_usage",
        "key_slots",
        "sealed_keys",
        "audit_log",
        "health_checks",
        "release_events",
        "alerts",
        "schema_versions",
    }
    assert {table.name for table in tenant_tables()} == {
        "pipeline_runs",
        "step_logs",
        "dq_results",
        "usage_daily",
        "cost_billing",
    }


def test_every_column_says_what_it_is() -> None:
    for table in (*central_tables(), *tenant_tables()):
        assert all(column.description.endswith(".") for column in table.columns), table.name


def test_a_log_of_events_is_partitioned_by_day_and_can_be_appended_to_twice() -> None:
    for table in (*central_tables(), *tenant_tables()):
        if table.labels["rows"] != "events":
            continue
        assert table.partitioning is not None, table.name
        assert (table.partitioning.column, table.partitioning.granularity) == ("recorded_at", "DAY")
        assert table.columns[0] == Column("event_id", "STRING", ColumnMode.REQUIRED)


def test_a_key_in_clear_has_no_place() -> None:
    names = {column.name for table in central_tables() for column in table.columns}

    assert not names & {"api_key", "key", "secret", "token"}


def test_a_tenants_dataset_is_named_after_it() -> None:
    assert tenant_dataset("acme") == "tenant_acme"
    assert CENTRAL_DATASET == "tenants"


def test_a_declaration_becomes_what_bigquery_creates() -> None:
    spec = TableSpec(
        name="events",
        description="What happened.",
        columns=(
            Column("event_id", "STRING", ColumnMode.REQUIRED, "Identifies it."),
            Column("recorded_at", "TIMESTAMP", ColumnMode.NULLABLE, "When."),
        ),
        partitioning=Partitioning("recorded_at", expiration_days=2),
        clustering=("event_id",),
        labels={"domain": "tries"},
    )

    table = to_bigquery(spec, "acme-dev", "tenants")

    assert str(table.reference) == "acme-dev.tenants.events"
    assert [(field.name, field.mode, field.description) for field in table.schema] == [
        ("event_id", "REQUIRED", "Identifies it."),
        ("recorded_at", "NULLABLE", "When."),
    ]
    assert table.time_partitioning is not None
    assert (table.time_partitioning.type_, table.time_partitioning.field) == ("DAY", "recorded_at")
    assert table.time_partitioning.expiration_ms == 2 * 24 * 60 * 60 * 1000
    assert (table.clustering_fields, table.description, table.labels) == (
        ["event_id"],
        "What happened.",
        {"domain": "tries"},
    )


def test_a_table_that_does_not_grow_by_time_has_no_partitions() -> None:
    spec = next(table for table in central_tables() if table.name == "tenant_profiles")

    table = to_bigquery(spec, "acme-dev", "tenants")

    assert table.time_partitioning is None


def test_a_directory_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"Put at least one \*\.yaml file") as caught:
        load_tables(tmp_path)

    assert caught.value.code is ErrorCode.INVALID_CATALOGUE


def test_views_come_behind_what_they_read() -> None:
    order = [view.name for view in views()]

    assert order.index("tenant_requests_events") < order.index("tenant_requests_current")
    assert order.index("api_key_events_deduplicated") < order.index("api_keys_current")


def test_a_table_knows_the_views_that_stand_on_it() -> None:
    assert [view.name for view in views_over("tenant_requests", views())] == [
        "tenant_requests_events",
        "tenant_requests_current",
    ]
    assert views_over("alerts", views()) == ()


def test_a_views_description_is_its_first_comment() -> None:
    view = next(view for view in views() if view.name == "tenant_requests_events")

    table = view_to_bigquery(view, "acme-dev", "tenants")

    assert view.sql.startswith("SELECT")
    assert "FROM `acme-dev.tenants.tenant_requests`\n" in str(table.view_query)
    assert table.description == "Every event of tenant_requests once, also where an append was repeated."
    assert table.labels == {"definition": view.digest}


def test_another_text_is_another_digest(tmp_path: Path) -> None:
    first = one_view(tmp_path / "first", "-- The keys.\nSELECT a FROM tenants.keys")
    second = one_view(tmp_path / "second", "-- The keys.\nSELECT b FROM tenants.keys")
    third = one_view(tmp_path / "third", "-- Some keys.\nSELECT a FROM tenants.keys")

    digests = {load_views(path, TABLES)[0].digest for path in (first, second, third)}

    assert len(digests) == 3


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("few", "SELECT 1 FROM tenants.keys", "its first lines say nothing"),
        ("few", "", "its first lines say nothing"),
        ("few", "-- Some.\nSELECT 1 FROM tenants.nothing", "it reads nothing, which is not declared"),
        ("few", "-- Some.\nSELECT 1 FROM elsewhere.keys", "it stands on 0 tables"),
        ("few", "-- Some.\nSELECT 1 FROM tenants.keys, tenants.requests", "it stands on 2 tables"),
        ("few", "-- Some.\nSELECT 1 FROM tenants.few", "it reads itself"),
        ("keys", "-- Some.\nSELECT 1 FROM tenants.requests", "a table has its name"),
    ],
)
def test_a_wrong_view_is_named(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    with pytest.raises(PermanentError, match=sentence) as caught:
        load_views(one_view(tmp_path, text, name), TABLES)

    assert caught.value.code is ErrorCode.INVALID_CATALOGUE
    assert f"views/{name}.sql" in caught.value.message


def one_view(directory: Path, text: str, name: str = "few") -> Path:
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.sql").write_text(text)
    return directory
