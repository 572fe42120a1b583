from dataclasses import replace

import pytest
from google.cloud import bigquery

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.migrating import Migrated, migrate_table
from convergence_orchestration.warehouse.model import Column, ColumnMode, Partitioning, TableSpec
from convergence_orchestration_tests.warehouse.builders import connected

REQUIRED, NULLABLE, REPEATED = ColumnMode.REQUIRED, ColumnMode.NULLABLE, ColumnMode.REPEATED
EVENTS = TableSpec(
    name="events",
    description="What happened.",
    columns=(
        Column("event_id", "STRING", REQUIRED, "Identifies it."),
        Column("seconds", "NUMERIC", NULLABLE, "How long it took."),
        Column("at", "TIMESTAMP", NULLABLE, "When it happened."),
        Column("note", "STRING", NULLABLE, 'What "they" said.'),
        Column("tags", "STRING", REPEATED, "Words for it."),
    ),
    partitioning=Partitioning("at"),
    clustering=("event_id",),
    version=2,
)


@pytest.fixture
def warehouse(settings: Settings) -> BigQuery:
    warehouse = connected(settings)
    warehouse.create_dataset("log", description="Of this test.", labels={})
    return warehouse


def of_version_one(warehouse: BigQuery, *more: bigquery.SchemaField, clustering: str = "event_id") -> None:
    """The table as it once was, with a row in it."""
    schema = [
        bigquery.SchemaField("event_id", "STRING", "REQUIRED"),
        bigquery.SchemaField("seconds", "INT64", "REQUIRED"),
        bigquery.SchemaField("at", "TIMESTAMP"),
        *more,
    ]
    table = bigquery.Table(f"{warehouse.project}.log.events", schema=schema)
    table.time_partitioning = bigquery.TimePartitioning(type_="DAY", field="at")
    table.clustering_fields = [clustering]
    warehouse.create_table(table)
    warehouse.execute("INSERT INTO log.events (event_id, seconds) VALUES ('a', 3)")


def migrated(warehouse: BigQuery, spec: TableSpec = EVENTS) -> Migrated:
    return migrate_table(warehouse, "log", spec)


def test_a_table_of_an_older_version_is_as_declared_afterwards_and_keeps_its_rows(
    warehouse: BigQuery,
) -> None:
    of_version_one(warehouse)

    first, second = migrated(warehouse), migrated(warehouse)

    name = f"`{warehouse.project}.log.events`"
    added = (
        f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS `note` STRING "
        'OPTIONS (description = "What \\"they\\" said."), ADD COLUMN IF NOT EXISTS `tags` ARRAY<STRING> '
        'OPTIONS (description = "Words for it.")'
    )
    assert first.is_as_declared
    assert first.statements == (
        added,
        f"ALTER TABLE {name} ALTER COLUMN `seconds` DROP NOT NULL",
        f"ALTER TABLE {name} ALTER COLUMN `seconds` SET DATA TYPE NUMERIC",
    )
    assert (second.is_as_declared, second.statements) == (True, ())
    assert [row["seconds"] for row in warehouse.query("SELECT seconds FROM log.events")] == [3]


def test_a_missing_table_is_made(warehouse: BigQuery) -> None:
    outcome = migrated(warehouse)

    assert outcome.is_as_declared
    assert outcome.statements == (f"tables.insert {warehouse.project}.log.events as version 2 declares it",)
    assert warehouse.list_tables("log") == ["events"]


def test_a_table_with_a_refusal_stays_as_it_is(warehouse: BigQuery) -> None:
    of_version_one(warehouse, clustering="seconds")

    outcome = migrated(warehouse)

    assert outcome.statements == ()
    assert [refusal.column for refusal in outcome.plan.refusals] == ["seconds", "(clustering)"]
    assert not outcome.is_as_declared
    table = warehouse.get_table("log", "events")
    assert table is not None
    assert [field.name for field in table.schema] == ["event_id", "seconds", "at"]


def test_another_granularity_of_the_partitions_is_seen_and_refused(warehouse: BigQuery) -> None:
    of_version_one(warehouse)

    outcome = migrated(warehouse, replace(EVENTS, partitioning=Partitioning("at", expiration_days=3)))

    assert [refusal.column for refusal in outcome.plan.refusals] == ["(partitioning)"]


def test_more_than_five_changes_of_one_table_wait_for_bigquerys_limit(warehouse: BigQuery) -> None:
    fields = [bigquery.SchemaField(f"c{number}", "STRING", "REQUIRED") for number in range(11)]
    warehouse.create_table(bigquery.Table(f"{warehouse.project}.log.many", schema=fields))
    columns = tuple(Column(field.name, "STRING", NULLABLE, "Of this test.") for field in fields)
    pauses: list[float] = []

    outcome = migrate_table(warehouse, "log", TableSpec("many", "Many columns.", columns), pauses.append)

    assert (outcome.is_as_declared, len(outcome.statements), pauses) == (True, 11, [10.0, 10.0])


def test_without_its_dataset_a_table_is_not_made(settings: Settings) -> None:
    with pytest.raises(PermanentError) as caught:
        migrate_table(connected(settings), "nowhere", EVENTS)

    assert caught.value.code is ErrorCode.NOT_FOUND
