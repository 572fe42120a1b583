from google.cloud import bigquery

from convergence_orchestration.warehouse.catalogue import central_tables, tenant_tables, to_bigquery
from convergence_orchestration.warehouse.drift import differences
from convergence_orchestration.warehouse.found import found_by_metadata
from convergence_orchestration.warehouse.model import (
    Column,
    ColumnMode,
    FoundTable,
    Partitioning,
    SchemaDifference,
    TableSpec,
)

EVENTS = TableSpec(
    name="events",
    description="What happened.",
    columns=(
        Column("event_id", "STRING", ColumnMode.REQUIRED),
        Column("attempt", "INT64", ColumnMode.NULLABLE),
        Column("recorded_at", "TIMESTAMP", ColumnMode.REQUIRED),
    ),
    partitioning=Partitioning("recorded_at"),
    clustering=("event_id",),
)


def seen(table: bigquery.Table) -> FoundTable:
    """The table as the comparison gets it."""
    found = found_by_metadata(table)
    assert found is not None
    return found


def found(*columns: bigquery.SchemaField, spec: TableSpec = EVENTS) -> bigquery.Table:
    """A table as BigQuery tells of it: as declared, but for `columns` if there are any."""
    table = to_bigquery(spec, "acme-dev", "tenants")
    table._properties["type"] = "TABLE"  # noqa: SLF001 only BigQuery itself sets it
    if columns:
        table.schema = list(columns)
    return table


def field(
    name: str, kind: str, mode: str = "NULLABLE", *fields: bigquery.SchemaField
) -> bigquery.SchemaField:
    return bigquery.SchemaField(name, kind, mode, fields=fields)


def test_a_table_as_declared_does_not_differ() -> None:
    assert differences(EVENTS, seen(found())) == ()


def test_every_declared_table_is_as_declared() -> None:
    for spec in (*central_tables(), *tenant_tables()):
        assert differences(spec, seen(found(spec=spec))) == ()


def test_bigquerys_older_names_of_types_are_the_same_types() -> None:
    real = found(
        field("event_id", "STRING", "REQUIRED"),
        field("attempt", "INTEGER"),
        field("recorded_at", "TIMESTAMP", "REQUIRED"),
    )

    assert differences(EVENTS, seen(real)) == ()


def test_descriptions_and_order_are_not_compared() -> None:
    real = found(
        field("recorded_at", "TIMESTAMP", "REQUIRED"),
        field("attempt", "INT64"),
        bigquery.SchemaField("event_id", "STRING", "REQUIRED", description="Something else."),
    )

    assert differences(EVENTS, seen(real)) == ()


def test_each_difference_of_a_column_is_told_with_both_sides() -> None:
    real = found(
        field("event_id", "STRING", "NULLABLE"),
        field("recorded_at", "DATETIME", "REQUIRED"),
        field("extra", "RECORD", "REPEATED", field("part", "STRING")),
    )

    assert differences(EVENTS, seen(real)) == (
        SchemaDifference("events", "event_id", "STRING REQUIRED", "STRING NULLABLE"),
        SchemaDifference("events", "attempt", "INT64 NULLABLE", "-"),
        SchemaDifference("events", "recorded_at", "TIMESTAMP REQUIRED", "DATETIME REQUIRED"),
        SchemaDifference("events", "extra", "-", "STRUCT REPEATED"),
    )


def test_other_partitions_and_clusters_are_told() -> None:
    real = found()
    real.time_partitioning = bigquery.TimePartitioning(type_="MONTH", expiration_ms=400 * 86_400_000)
    real.clustering_fields = None

    assert differences(EVENTS, seen(real)) == (
        SchemaDifference(
            "events", "(partitioning)", "DAY of recorded_at", "MONTH of _PARTITIONTIME, kept 400 days"
        ),
        SchemaDifference("events", "(clustering)", "event_id", "-"),
    )


def test_a_table_without_partitions_is_told() -> None:
    real = found()
    real.time_partitioning = None

    assert differences(EVENTS, seen(real)) == (
        SchemaDifference("events", "(partitioning)", "DAY of recorded_at", "-"),
    )


def test_a_missing_table_is_one_difference() -> None:
    assert differences(EVENTS, None) == (SchemaDifference("events", "(table)", "a table", "-"),)


def test_a_view_in_the_tables_place_is_one_difference() -> None:
    real = found()
    real._properties["type"] = "VIEW"  # noqa: SLF001 only BigQuery itself sets it

    assert differences(EVENTS, seen(real)) == (SchemaDifference("events", "(table)", "TABLE", "VIEW"),)


def test_of_a_partitioning_whose_column_alone_is_known_the_column_is_compared() -> None:
    assert differences(EVENTS, FoundTable(EVENTS.columns, "recorded_at", ("event_id",))) == ()
    assert differences(EVENTS, FoundTable(EVENTS.columns, "day", ("event_id",))) == (
        SchemaDifference("events", "(partitioning)", "by recorded_at", "by day"),
    )
    assert differences(EVENTS, FoundTable(EVENTS.columns, None, ("event_id",))) == (
        SchemaDifference("events", "(partitioning)", "DAY of recorded_at", "-"),
    )
