from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.backups.listing import (
    backups,
    every_backup,
    last_backup,
    restorable,
)
from convergence_orchestration.warehouse.backups.model import BACKUP_DATASET, Scope
from convergence_orchestration.warehouse.backups.taking import take_backup
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration_tests.tenancy.dying import DyingBigQuery, KilledError
from convergence_orchestration_tests.warehouse.backups.builders import (
    asked,
    backup_of,
    platform,
    tenant_with,
)
from convergence_orchestration_tests.warehouse.builders import connected, with_tables


def test_a_backup_has_a_counted_copy_of_every_table_but_the_sealed_keys(settings: Settings) -> None:
    warehouse = platform(settings)

    backup = backup_of(warehouse)

    assert {table.name: table.rows for table in backup.tables} == {
        "api_key_events": 1,
        "audit_log": 3,
        "key_slots": 1,
        "tenant_profiles": 2,
        "tenant_requests": 0,
    }
    checksums = {table.name: table.checksum for table in backup.tables}
    assert checksums["tenant_requests"] == "0"
    assert all(int(checksum) for name, checksum in checksums.items() if name != "tenant_requests")
    kept = backup.table("audit_log")
    assert kept is not None
    assert not kept.is_query_copy
    copy = warehouse.get_table(*kept.snapshot.split("."))
    assert copy is not None
    assert copy.expires == backup.expires_at == backup.taken_at + timedelta(days=30)
    assert every_backup(warehouse) == [backup]


def test_a_backup_killed_behind_any_write_is_not_listed_and_is_finished_by_the_same_run(
    settings: Settings,
) -> None:
    with_tables(settings, "tenant_profiles", "audit_log")
    warehouse, wanted = connected(settings), asked()
    deaths = 0
    while not every_backup(warehouse):  # one write further each time; the last one puts it into the list
        deaths += 1
        with pytest.raises(KilledError):
            take_backup(DyingBigQuery(bigquery_client(settings), writes=deaths), wanted)

    backup = take_backup(warehouse, wanted)
    assert deaths >= 4
    assert [table.name for table in backup.tables] == ["audit_log", "tenant_profiles"]
    assert every_backup(warehouse) == [backup]
    assert len(warehouse.list_tables(BACKUP_DATASET)) == len(["the list", "audit_log", "tenant_profiles"])


def test_only_backups_that_can_be_restored_are_listed(settings: Settings) -> None:
    warehouse = with_tables(settings, "tenant_profiles")
    now = datetime.now(UTC).replace(microsecond=0)
    assert last_backup(warehouse, now) is None
    old = backup_of(warehouse, run_id="01d", asked_at=now - timedelta(hours=3))
    of_tenant_asked_later = now - timedelta(hours=1)
    tenant_with(warehouse, "acme", tenant_tables()[0])
    of_tenant = backup_of(warehouse, scope=Scope("acme"), asked_at=of_tenant_asked_later)
    new = backup_of(warehouse, run_id="new", asked_at=now - timedelta(hours=2))

    assert [each.name for each in backups(warehouse, now)] == [of_tenant.name, new.name, old.name]
    assert last_backup(warehouse, now) == new.taken_at

    warehouse.delete_table(*new.tables[0].snapshot.split("."))
    assert last_backup(warehouse, now) == old.taken_at
    with pytest.raises(PermanentError, match="is not there any more"):
        restorable(warehouse, new.name, now)

    later = now + timedelta(days=31)
    assert backups(warehouse, later) == []
    with pytest.raises(PermanentError, match="it expired at") as caught:
        restorable(warehouse, old.name, later)
    assert caught.value.code is ErrorCode.FAILED_PRECONDITION


def test_an_unknown_backup_is_said_to_be_none(settings: Settings) -> None:
    with pytest.raises(PermanentError, match="there is no whole backup central_x") as caught:
        restorable(connected(settings), "central_x", datetime.now(UTC))

    assert caught.value.code is ErrorCode.NOT_FOUND


def test_where_there_is_nothing_there_is_no_backup(settings: Settings) -> None:
    warehouse = connected(settings)
    with pytest.raises(PermanentError, match="Bootstrap the platform") as caught:
        backup_of(warehouse)
    assert caught.value.code is ErrorCode.NOT_BOOTSTRAPPED

    warehouse.create_dataset("tenant_acme", description="Empty.", labels={})
    with pytest.raises(PermanentError, match="Name a tenant that has a dataset") as refused:
        backup_of(warehouse, scope=Scope("acme"))
    assert refused.value.code is ErrorCode.NOT_FOUND
    assert every_backup(warehouse) == []


class BehindTheTimes(BigQuery):
    """The real service's snapshots while rows are in the streaming buffer: they lack them."""

    def snapshot(self, source: str, destination: str, expires_at: datetime) -> None:
        super().snapshot(source, destination, expires_at)
        table = self.get_table(*source.split("."))
        assert table is not None
        self.delete_table(*destination.split("."))
        empty = type(table)(f"{self.project}.{destination}", schema=table.schema)
        self.create_table(empty)


def test_rows_that_were_only_just_streamed_are_copied_and_it_is_said(settings: Settings) -> None:
    platform(settings)

    backup = take_backup(BehindTheTimes(bigquery_client(settings)), asked())

    kept = backup.table("audit_log")
    assert kept is not None
    assert (kept.rows, kept.is_query_copy) == (3, True)


def test_a_name_says_whose_and_when_and_by_which_run() -> None:
    at = datetime(2026, 11, 23, 12, tzinfo=UTC)

    assert asked(asked_at=at, run_id="1a2b3c4d-5e6f").name == "central_20261123T120000Z_1a2b3c4d"
    assert replace(asked(asked_at=at), scope=Scope("acme")).name.startswith("tenant_acme_20261123T120000Z_")


def test_a_scope_is_a_tenant_or_the_platform() -> None:
    assert Scope.of("") == Scope.of_dataset("tenants") == Scope()
    assert Scope.of("acme") == Scope.of_dataset("tenant_acme")
    assert (Scope("acme").in_words, Scope().in_words) == ("tenant acme", "the central tables")
    with pytest.raises(PermanentError) as caught:
        Scope.of("tenants; DROP")
    assert caught.value.code is ErrorCode.INVALID_TENANT_ID
