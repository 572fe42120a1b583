from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.cloud import bigquery

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.model import CENTRAL_DATASET, SNAPSHOT_DATASET
from convergence_orchestration.warehouse.snapshots import (
    SnapshotSet,
    snapshot_central_tables,
    snapshot_tables,
)
from convergence_orchestration_tests.warehouse.builders import NOON, alert, append_events, with_tables


def test_a_snapshot_is_named_after_its_table_and_the_second_in_utc() -> None:
    in_vienna = NOON.astimezone(timezone(timedelta(hours=1)))
    central = SnapshotSet(CENTRAL_DATASET, SNAPSHOT_DATASET, "", in_vienna, in_vienna)

    assert central.name_of("alerts") == "tenants_snapshots.alerts_20261123T120000Z"
    assert replace(central, prefix="acme__").name_of("alerts").startswith("tenants_snapshots.acme__alerts_")


def test_a_set_that_is_taken_again_finds_what_it_took_before(settings: Settings) -> None:
    warehouse = with_tables(settings, "alerts")
    now = datetime.now(UTC)
    wanted = SnapshotSet(CENTRAL_DATASET, "archive_of_mine", "acme__", now, now + timedelta(days=1))

    taken = snapshot_tables(warehouse, wanted, ["alerts", "nowhere"])

    assert snapshot_tables(warehouse, wanted, ["alerts"]) == taken
    assert warehouse.list_tables("archive_of_mine") == [taken["alerts"].split(".")[1]]


def test_every_table_that_exists_gets_a_snapshot_that_ends_after_thirty_days(settings: Settings) -> None:
    warehouse = with_tables(settings, "alerts", "tenant_requests")
    now = datetime.now(UTC).replace(microsecond=0)

    taken = snapshot_central_tables(
        warehouse, ["alerts", "tenant_requests", "tenant_requests_current", "nowhere"], now
    )

    assert set(taken) == {"alerts", "tenant_requests"}
    kept = warehouse.get_table(*taken["alerts"].split("."))
    assert kept is not None
    assert (kept.table_type, kept.expires) == ("SNAPSHOT", now + timedelta(days=30))


def test_without_tables_not_even_a_dataset_is_made(settings: Settings) -> None:
    warehouse = with_tables(settings)

    assert snapshot_central_tables(warehouse, ["alerts"], NOON) == {}
    assert warehouse.get_dataset(SNAPSHOT_DATASET) is None


def test_what_cannot_be_copied_so_is_refused(settings: Settings) -> None:
    warehouse = with_tables(settings, "alerts")
    warehouse.snapshot("tenants.alerts", "tenants.alerts_by_hand", datetime.now(UTC) + timedelta(days=1))

    with pytest.raises(
        PermanentError, match=r"Move tenants\.alerts_by_hand to another dataset first"
    ) as caught:
        snapshot_central_tables(warehouse, warehouse.list_tables(CENTRAL_DATASET), NOON)

    assert caught.value.code is ErrorCode.FAILED_PRECONDITION


class BehindTheTimes(BigQuery):
    """The real service's snapshots while rows are in the streaming buffer: they lack them. local-bigquery has none."""

    copies_everything = True

    def snapshot(self, source: str, destination: str, expires_at: datetime) -> None:
        super().snapshot(source, destination, expires_at)
        self._leave_empty(destination)

    def copy_rows(self, source: str, destination: str, expires_at: datetime) -> None:
        super().copy_rows(source, destination, expires_at)
        if not self.copies_everything:
            self._leave_empty(destination)

    def _leave_empty(self, destination: str) -> None:
        self.delete_table(*destination.split("."))
        schema = [bigquery.SchemaField("event_id", "STRING")]
        self.create_table(bigquery.Table(f"{self.project}.{destination}", schema=schema))


@pytest.fixture
def behind(settings: Settings) -> BehindTheTimes:
    append_events(with_tables(settings, "alerts"), "alerts", alert("a"))
    return BehindTheTimes(bigquery_client(settings))


def test_rows_that_a_snapshot_leaves_out_are_copied_by_a_query(behind: BehindTheTimes) -> None:
    taken = snapshot_central_tables(behind, ["alerts"], datetime.now(UTC))

    assert behind.count_rows(*taken["alerts"].split(".")) == 1


def test_a_copy_that_lacks_rows_is_no_snapshot(behind: BehindTheTimes) -> None:
    behind.copies_everything = False

    with pytest.raises(TransientError, match="nothing was deleted") as caught:
        snapshot_central_tables(behind, ["alerts"], datetime.now(UTC))

    assert caught.value.code is ErrorCode.DATA_CORRUPTED
