from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from convergence_orchestration.audit.log import AuditLog
from convergence_orchestration.audit.verification import verify
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.backups.compared import Permissions
from convergence_orchestration.warehouse.backups.listing import every_backup
from convergence_orchestration.warehouse.backups.model import BACKUP_DATASET, Scope
from convergence_orchestration.warehouse.backups.recreating import put_back_what_is_aside, recreate
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration_tests.audit.builders import chain
from convergence_orchestration_tests.tenancy.dying import KilledError
from convergence_orchestration_tests.warehouse.backups.builders import (
    DyingAtRestore,
    add_tenant,
    backup_of,
    counted,
    platform,
    profiles,
    restore,
    tenant_with,
    wanted,
)
from convergence_orchestration_tests.warehouse.builders import (
    append_events,
    connected,
    key_event,
    request_event,
    specs,
    with_tables,
)


def changed_since(warehouse: BigQuery) -> None:
    """A key is revoked, `acme` deleted, `beta` suspended, `gamma` made, and some rows are lost."""
    append_events(warehouse, "api_key_events", key_event("REVOKED", 60))
    AuditLog(warehouse).append(chain("w1", "a", "b", "c")[3:])
    warehouse.execute("DELETE FROM tenants.audit_log WHERE sequence = 2")
    warehouse.execute("UPDATE tenants.tenant_profiles SET state = 'DELETED' WHERE tenant_id = 'acme'")
    warehouse.execute("UPDATE tenants.tenant_profiles SET state = 'SUSPENDED' WHERE tenant_id = 'beta'")
    add_tenant(warehouse, "gamma")
    warehouse.execute("UPDATE tenants.key_slots SET key_id = 'key_2' WHERE tenant_id = 'acme'")


def test_states_go_back_and_what_happened_stays(settings: Settings) -> None:
    warehouse = platform(settings)
    backup = backup_of(warehouse)
    changed_since(warehouse)
    assert len(verify(list(AuditLog(warehouse).in_order()))) == 1

    done = {each.before.spec.name: each for each in restore(warehouse, wanted(backup))}

    assert profiles(warehouse) == {"acme": "DELETED", "beta": "ACTIVE", "gamma": "ACTIVE"}
    before = done["tenant_profiles"].before
    assert (before.counts.changed, before.counts.final, before.counts.newer) == (1, 1, 1)
    assert before.lost == "what changed in 1 rows since"
    keys = warehouse.query("SELECT revoked_at FROM tenants.api_keys_current")
    assert [row["revoked_at"] is not None for row in keys] == [True]
    assert [row["key_id"] for row in warehouse.query("SELECT key_id FROM tenants.key_slots")] == ["key_2"]
    assert done["audit_log"].before.counts.missing == 1
    assert done["audit_log"].after.is_restored
    assert verify(list(AuditLog(warehouse).in_order())) == []
    present = next(each for each in every_backup(warehouse) if each.name != backup.name)
    assert {table.name: table.rows for table in present.tables}["tenant_profiles"] == 3


def test_a_restore_killed_behind_any_write_goes_on_when_it_is_tried_again(settings: Settings) -> None:
    warehouse = with_tables(settings, "audit_log", "tenant_profiles")
    add_tenant(warehouse, "beta")
    AuditLog(warehouse).append(chain("w1", "a"))
    backup = backup_of(warehouse)
    warehouse.execute("UPDATE tenants.tenant_profiles SET state = 'SUSPENDED' WHERE TRUE")
    warehouse.delete_table("tenants", "audit_log")
    AuditLog(with_tables(settings, "audit_log")).append(chain("w2", "b"))

    writes = 0
    while len(every_backup(warehouse)) == 1:  # one write further each time, until the present is kept
        writes += 1
        with pytest.raises(KilledError):
            restore(DyingAtRestore(bigquery_client(settings), writes), wanted(backup))
    assert (counted(warehouse, "audit_log"), profiles(warehouse)["beta"]) == (2, "SUSPENDED")

    for writes_of_tables, state in ((1, "SUSPENDED"), (2, "ACTIVE")):
        with pytest.raises(KilledError):
            restore(DyingAtRestore(bigquery_client(settings), writes_of_tables), wanted(backup))
        assert (counted(warehouse, "audit_log"), profiles(warehouse)["beta"]) == (4, state)

    restore(warehouse, wanted(backup))
    assert counted(warehouse, "audit_log") == 4
    assert verify(list(AuditLog(warehouse).in_order())) == []
    assert len(every_backup(warehouse)) == 2


def of_another_schema(warehouse: BigQuery) -> None:
    """The ledger as somebody made it by hand: with a column more, and not partitioned."""
    ledger = warehouse.get_table("tenants", "api_key_events")
    if ledger is not None and ledger.time_partitioning is None:
        return
    warehouse.execute("CREATE TABLE tenants.aside AS SELECT *, 'x' AS colour FROM tenants.api_key_events")
    warehouse.delete_table("tenants", "api_key_events")
    warehouse.execute("CREATE TABLE tenants.api_key_events AS SELECT * FROM tenants.aside")
    warehouse.delete_table("tenants", "aside")


def test_a_table_of_another_schema_is_made_anew_if_allowed_with_all_that_it_had(settings: Settings) -> None:
    warehouse = with_tables(settings, "api_key_events")
    append_events(warehouse, "api_key_events", key_event("ISSUED", 0))
    backup = backup_of(warehouse)
    append_events(warehouse, "api_key_events", key_event("REVOKED", 60))
    of_another_schema(warehouse)
    with pytest.raises(PermanentError, match="Allow it to recreate tables"):
        restore(warehouse, wanted(backup))

    restore(warehouse, wanted(backup, allowed=Permissions(recreate_tables=True)))

    ledger = warehouse.get_table("tenants", "api_key_events")
    assert ledger is not None
    assert "colour" not in [column.name for column in ledger.schema]
    assert ledger.time_partitioning is not None
    keys = warehouse.query("SELECT revoked_at FROM tenants.api_keys_current")
    assert [row["revoked_at"] is not None for row in keys] == [True]


def test_a_table_that_is_being_made_anew_gets_its_rows_back_whenever_it_is_killed(settings: Settings) -> None:
    warehouse, (ledger,) = with_tables(settings, "api_key_events"), specs("api_key_events")
    append_events(warehouse, "api_key_events", key_event("ISSUED", 0), key_event("REVOKED", 60))

    # dataset, copy, deletion, creation, rows, deletion of the copy
    for writes in range(1, 7):
        of_another_schema(warehouse)
        with pytest.raises(KilledError):
            recreate(DyingAtRestore(bigquery_client(settings), writes), Scope(), ledger, datetime.now(UTC))
        put_back_what_is_aside(warehouse, Scope(), ledger)  # what the next restore begins with

        assert counted(warehouse, "api_key_events") == 2
        assert warehouse.list_tables(BACKUP_DATASET) == []


def test_the_next_restore_begins_with_rows_that_are_still_aside(settings: Settings) -> None:
    warehouse, (ledger,) = with_tables(settings, "api_key_events"), specs("api_key_events")
    append_events(warehouse, "api_key_events", key_event("ISSUED", 0))
    backup = backup_of(warehouse)
    append_events(warehouse, "api_key_events", key_event("REVOKED", 60))
    of_another_schema(warehouse)
    with pytest.raises(KilledError):  # behind the deletion
        recreate(DyingAtRestore(bigquery_client(settings), 3), Scope(), ledger, datetime.now(UTC))
    assert warehouse.get_table("tenants", "api_key_events") is None

    restore(warehouse, wanted(backup))

    assert counted(warehouse, "api_key_events") == 2


def test_a_ledger_that_lost_rows_is_not_filled_unless_whoever_asks_answers_for_the_keys(
    settings: Settings,
) -> None:
    warehouse = with_tables(settings, "api_key_events")
    append_events(warehouse, "api_key_events", key_event("ISSUED", 0))
    backup = backup_of(warehouse)
    warehouse.delete_table("tenants", "api_key_events")
    with pytest.raises(PermanentError, match="readmit keys only if none was revoked") as caught:
        restore(warehouse, wanted(backup))
    assert caught.value.code is ErrorCode.FAILED_PRECONDITION
    assert warehouse.get_table("tenants", "api_key_events") is None

    with_tables(settings, "tenant_profiles")  # for a backup of the present
    restore(warehouse, wanted(backup, allowed=Permissions(readmit_keys=True)))

    assert counted(warehouse, "api_key_events") == 1
    assert warehouse.get_table("tenants", "api_keys_current") is not None


def test_a_tenants_rows_come_back_and_what_was_used_since_stays(settings: Settings) -> None:
    warehouse = with_tables(settings, "tenant_profiles", "tenant_requests")
    some = [spec for spec in tenant_tables() if spec.name in {"step_logs", "usage_daily"}]
    add_tenant(warehouse, "acme")
    tenant_with(warehouse, "acme", *some)
    used = (
        "INSERT INTO tenant_acme.usage_daily (usage_date, pipeline_runs, failed_runs, api_requests, "
        "bytes_processed, slot_ms, rows_written, updated_at) VALUES (DATE '{}', {}, 0, 0, 0, 0, 0, '2026-11-23')"
    )
    warehouse.execute(used.format("2026-11-22", 1))
    warehouse.execute(used.format("2026-11-23", 2))
    backup = backup_of(warehouse, scope=Scope("acme"))
    warehouse.execute("DELETE FROM tenant_acme.usage_daily WHERE pipeline_runs = 1")
    warehouse.execute("UPDATE tenant_acme.usage_daily SET pipeline_runs = 5 WHERE TRUE")
    warehouse.delete_table("tenant_acme", "step_logs")

    what = wanted(backup, tenant_id="acme")
    done = {each.before.spec.name: each for each in restore(warehouse, what)}

    rows = warehouse.query("SELECT pipeline_runs FROM tenant_acme.usage_daily ORDER BY usage_date")
    assert [row["pipeline_runs"] for row in rows] == [1, 5]
    assert done["step_logs"].before.is_missing
    assert warehouse.get_table("tenant_acme", "step_logs") is not None

    warehouse.execute("UPDATE tenants.tenant_profiles SET state = 'DELETED' WHERE TRUE")
    assert refused(warehouse, lambda: restore(warehouse, what)) is ErrorCode.TENANT_DELETED
    warehouse.execute("UPDATE tenants.tenant_profiles SET state = 'ACTIVE' WHERE TRUE")
    warehouse.delete_dataset("tenant_acme")
    assert refused(warehouse, lambda: restore(warehouse, what)) is ErrorCode.FAILED_PRECONDITION
    warehouse.execute("DELETE FROM tenants.tenant_profiles WHERE TRUE")
    assert refused(warehouse, lambda: restore(warehouse, what)) is ErrorCode.TENANT_NOT_FOUND


def refused(warehouse: BigQuery, attempt: Callable[[], object]) -> ErrorCode:
    """Why it is refused; no backup of the present was taken then."""
    taken = len(every_backup(warehouse))
    with pytest.raises(PermanentError) as caught:
        attempt()
    assert len(every_backup(warehouse)) == taken
    return caught.value.code


def put_in_its_place(warehouse: BigQuery, copy: str, other: str) -> None:
    """Somebody replaced the copy by another table."""
    warehouse.delete_table(*copy.split("."))
    warehouse.copy_rows(other, copy, datetime.now(UTC) + timedelta(days=1))


def test_what_cannot_be_restored_is_refused_and_nothing_is_changed(settings: Settings) -> None:
    warehouse = with_tables(settings, "tenant_profiles", "tenant_requests")
    add_tenant(warehouse, "acme")
    backup = backup_of(warehouse)
    elsewhere = backup_of(warehouse, environment="staging", run_id="e15e")
    warehouse.execute("UPDATE tenants.tenant_profiles SET state = 'SUSPENDED' WHERE TRUE")

    for what, confirm, code in (
        (wanted(backup), "yes", ErrorCode.INVALID_ARGUMENT),
        (wanted(backup, tenant_id="acme"), None, ErrorCode.INVALID_ARGUMENT),
        (wanted(elsewhere), None, ErrorCode.FAILED_PRECONDITION),
        (wanted(backup, tables=("sealed_keys",)), None, ErrorCode.INVALID_ARGUMENT),
    ):
        assert refused(warehouse, partial(restore, warehouse, what, confirm)) is code

    append_events(warehouse, "tenant_requests", request_event("e1", "RUNNING", 0))
    assert refused(warehouse, lambda: restore(warehouse, wanted(backup))) is ErrorCode.REQUEST_IN_PROGRESS
    put_in_its_place(warehouse, backup.tables[0].snapshot, "tenants.tenant_profiles")
    damaged = wanted(backup, despite_requests=True)
    assert refused(warehouse, lambda: restore(warehouse, damaged)) is ErrorCode.FAILED_PRECONDITION
    assert profiles(warehouse) == {"acme": "SUSPENDED"}

    restore(warehouse, wanted(backup, tables=("tenant_requests",), despite_requests=True))
    assert profiles(connected(settings)) == {"acme": "SUSPENDED"}
