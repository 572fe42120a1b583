"""A small platform with two tenants, their keys and an audit log; backups of it; and a BigQuery that dies."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from google.cloud.bigquery import ScalarQueryParameter

from convergence_orchestration.audit.log import AuditLog
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.backups.checking import Wanted
from convergence_orchestration.warehouse.backups.model import Backup, Scope
from convergence_orchestration.warehouse.backups.restoring import RestoredTable, begin, restored
from convergence_orchestration.warehouse.backups.taking import Asked, take_backup
from convergence_orchestration.warehouse.catalogue import to_bigquery
from convergence_orchestration.warehouse.model import CENTRAL_DATASET, TableSpec, tenant_dataset
from convergence_orchestration_tests.audit.builders import chain
from convergence_orchestration_tests.tenancy.dying import DyingBigQuery
from convergence_orchestration_tests.warehouse.builders import append_events, key_event, with_tables

PLATFORM = (
    "api_key_events",
    "audit_log",
    "key_slots",
    "sealed_keys",
    "tenant_profiles",
    "tenant_requests",
)
DEVELOPMENT = "development"
_STARTED = datetime.now(UTC).replace(microsecond=0)


def platform(settings: Settings) -> BigQuery:
    """Tenants `acme` and `beta`, both ACTIVE, one key and an open chain of the audit log."""
    warehouse = with_tables(settings, *PLATFORM)
    add_tenant(warehouse, "acme")
    add_tenant(warehouse, "beta")
    warehouse.execute("INSERT INTO tenants.key_slots (tenant_id, slot, key_id) VALUES ('acme', 1, 'key_1')")
    append_events(warehouse, "api_key_events", key_event("ISSUED", 0))
    AuditLog(warehouse).append(chain("w1", "a", "b"))
    return warehouse


def add_tenant(warehouse: BigQuery, tenant_id: str) -> None:
    sql = (
        "INSERT INTO tenants.tenant_profiles "
        "(tenant_id, state, plan, dataset_id, request_id, created_at, updated_at) "
        "VALUES (@tenant_id, 'ACTIVE', 'STARTER', 'its_dataset', 'req_1', '2026-11-20', '2026-11-20')"
    )
    warehouse.execute(sql, [ScalarQueryParameter("tenant_id", "STRING", tenant_id)])


def tenant_with(warehouse: BigQuery, tenant_id: str, *specs: TableSpec) -> None:
    """The tenant's dataset with these tables."""
    warehouse.create_dataset(tenant_dataset(tenant_id), description="A tenant.", labels={})
    for spec in specs:
        warehouse.create_table(to_bigquery(spec, warehouse.project, tenant_dataset(tenant_id)))


def asked(scope: Scope | None = None, run_id: str = "0badcafe-run", **more: object) -> Asked:
    values: dict[str, object] = {
        "scope": scope or Scope(),
        "environment": DEVELOPMENT,
        "asked_at": datetime.now(UTC).replace(microsecond=0),
        "run_id": run_id,
        "kept": timedelta(days=30),
        "reason": "a test",
        **more,
    }
    return Asked(**values)  # type: ignore[arg-type]


def backup_of(warehouse: BigQuery, **more: object) -> Backup:
    return take_backup(warehouse, asked(**more))  # type: ignore[arg-type]


def wanted(backup: Backup, **more: object) -> Wanted:
    return Wanted(backup.name, DEVELOPMENT, **more)  # type: ignore[arg-type]


def restore(
    warehouse: BigQuery, what: Wanted, confirm: str | None = None, run_id: str = "5afe0000"
) -> list[RestoredTable]:
    """Restore it, with the backup of the present named after `run_id`."""
    now = datetime.now(UTC)
    begun = begin(
        warehouse, what, what.backup if confirm is None else confirm, now, of_the_present(warehouse, run_id)
    )
    return list(restored(warehouse, begun, now))


def of_the_present(warehouse: BigQuery, run_id: str) -> Callable[[Scope], Backup]:
    return lambda scope: take_backup(warehouse, asked(scope, run_id, asked_at=_STARTED))


class DyingAtRestore(DyingBigQuery):
    """Deletions of tables are writes too."""

    def delete_table(self, dataset_id: str, table_id: str) -> None:
        self._before()
        super().delete_table(dataset_id, table_id)
        self._after(answer=None)


def profiles(warehouse: BigQuery) -> dict[str, str]:
    """Tenants' states."""
    rows = warehouse.query("SELECT tenant_id, state FROM tenants.tenant_profiles")
    return {row["tenant_id"]: row["state"] for row in rows}


def counted(warehouse: BigQuery, table: str) -> int:
    return warehouse.count_rows(CENTRAL_DATASET, table)
