import pytest
from google.cloud import bigquery

from convergence_orchestration.warehouse.catalogue import tenant_tables, to_bigquery
from convergence_orchestration.warehouse.drift import differences
from convergence_orchestration.warehouse.found import ColumnFacts, found_by_columns, found_by_metadata
from convergence_orchestration.warehouse.model import Column, ColumnMode, FoundTable, Partitioning
from convergence_orchestration_tests.warehouse.builders import facts_of


def fact(
    name: str, kind: str = "STRING", nullable: str = "YES", partition: str = "NO", place: int | None = None
) -> ColumnFacts:
    return ColumnFacts(name, kind, nullable, partition, place)


def metadata(*fields: bigquery.SchemaField) -> bigquery.Table:
    table = bigquery.Table("acme-dev.tenants.events", schema=list(fields))
    table._properties["type"] = "TABLE"  # noqa: SLF001 only BigQuery itself sets it
    return table


def test_both_answers_about_a_table_give_the_same() -> None:
    for spec in tenant_tables():
        table = to_bigquery(spec, "acme-dev", "tenant_acme")
        table._properties["type"] = "TABLE"  # noqa: SLF001 only BigQuery itself sets it
        by_metadata, by_columns = found_by_metadata(table), found_by_columns(facts_of(spec))

        assert by_metadata is not None
        assert by_metadata.columns == by_columns.columns
        assert by_metadata.clustering == by_columns.clustering
        assert differences(spec, by_metadata) == differences(spec, by_columns) == ()


@pytest.mark.parametrize("nullable", ["YES", "NO"])
def test_a_list_is_repeated_whatever_is_said_of_its_emptiness(nullable: str) -> None:
    found = found_by_columns(
        [fact("tags", "ARRAY<STRING>", nullable), fact("parts", "ARRAY<STRUCT<a INT64>>")]
    )

    assert found.columns == (
        Column("tags", "STRING", ColumnMode.REPEATED),
        Column("parts", "STRUCT", ColumnMode.REPEATED),
    )


def test_partitions_and_clusters_are_read_off_the_columns() -> None:
    found = found_by_columns([fact("a", place=2), fact("b", place=1), fact("at", "TIMESTAMP", "NO", "YES")])

    assert (found.partitioning, found.clustering) == ("at", ("b", "a"))
    assert found.columns[-1] == Column("at", "TIMESTAMP", ColumnMode.REQUIRED)


def test_partitions_by_the_time_of_ingestion_are_no_column() -> None:
    hidden = [fact("_PARTITIONDATE", "DATE", partition="YES"), fact("_PARTITIONTIME", "TIMESTAMP")]

    assert found_by_columns([fact("a"), *hidden]) == FoundTable(
        (Column("a", "STRING", ColumnMode.NULLABLE),), "_PARTITIONTIME"
    )


def test_limits_of_a_type_are_part_of_it_either_way() -> None:
    fields = [
        bigquery.SchemaField("price", "NUMERIC", precision=10, scale=2),
        bigquery.SchemaField("name", "STRING", max_length=20),
    ]

    found = found_by_metadata(metadata(*fields))

    assert found is not None
    assert (
        found.columns
        == found_by_columns([fact("price", "NUMERIC(10, 2)"), fact("name", "STRING(20)")]).columns
    )


def test_partitions_by_ranges_are_named() -> None:
    table = metadata(bigquery.SchemaField("n", "INTEGER"))
    table.range_partitioning = bigquery.RangePartitioning(
        field="n", range_=bigquery.PartitionRange(start=0, end=10, interval=1)
    )

    found = found_by_metadata(table)

    assert found is not None
    assert found.partitioning == "ranges of n"


def test_metadata_tell_the_whole_partitioning_and_that_there_is_no_table() -> None:
    table = metadata(bigquery.SchemaField("at", "TIMESTAMP"))
    table.time_partitioning = bigquery.TimePartitioning(type_="DAY", field="at", expiration_ms=2 * 86_400_000)

    found = found_by_metadata(table)

    assert found_by_metadata(None) is None
    assert found is not None
    assert found.partitioning == Partitioning("at", expiration_days=2)
