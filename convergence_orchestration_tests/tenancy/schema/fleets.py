"""A project with some tenants, whose tables can be made to differ, and BigQueries on which something goes wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from google.cloud import bigquery as google
from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter

from convergence_orchestration.gcp.bigquery import BigQuery, Parameters
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId, TenantState
from convergence_orchestration.warehouse.catalogue import tenant_tables, to_bigquery
from convergence_orchestration.warehouse.model import tenant_dataset
from convergence_orchestration_tests.tenancy.dying import DyingBigQuery, KilledError
from convergence_orchestration_tests.warehouse.builders import with_tables

__all__ = ["DyingBigQuery", "Fleet", "ForgetfulBigQuery", "KilledError", "fleet_of"]

_PROFILES = """
INSERT INTO tenants.tenant_profiles (tenant_id, state, plan, dataset_id, request_id, created_at, updated_at)
SELECT tenant_id, @state, 'STARTER', CONCAT('tenant_', tenant_id), 'req_1', CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP()
FROM UNNEST(@tenants) AS tenant_id
"""


@dataclass(frozen=True)
class Fleet:
    """Tenants in a project of their own."""

    warehouse: BigQuery

    def adds(self, *tenants: str, state: TenantState = TenantState.ACTIVE) -> None:
        """Profiles, without datasets."""
        self.warehouse.execute(
            _PROFILES,
            [
                ScalarQueryParameter("state", "STRING", str(state)),
                ArrayQueryParameter("tenants", "STRING", list(tenants)),
            ],
        )

    def has_tables(self, tenant_id: str, *, old: bool = False, clustering: bool = True) -> None:
        """A dataset with every table; `old`: step_logs is of before `duration_ms`, and usage_daily is missing."""
        dataset_id = tenant_dataset(tenant_id)
        self.warehouse.create_dataset(dataset_id, description="Of this test.", labels={})
        for spec in tenant_tables():
            table = to_bigquery(spec, self.warehouse.project, dataset_id)
            if old and spec.name == "usage_daily":
                continue
            if old and spec.name == "step_logs":
                table.schema = [field for field in table.schema if field.name != "duration_ms"]
            if not clustering and spec.name == "dq_results":
                table.clustering_fields = None
            self.warehouse.create_table(table)

    def columns(self, tenant_id: str, table: str) -> list[str]:
        """Of a real table; none if there is none."""
        found = self.warehouse.get_table(tenant_dataset(tenant_id), table)
        return [field.name for field in found.schema] if found else []

    def is_migrated(self, tenant_id: str) -> bool:
        """Whether an old tenant has what the catalogue declares."""
        return "duration_ms" in self.columns(tenant_id, "step_logs") and bool(
            self.columns(tenant_id, "usage_daily")
        )

    def versions(self, tenant_id: str) -> dict[str, str]:
        """What `schema_versions` says of a tenant, kind by table."""
        rows = self.warehouse.query(
            "SELECT table_name, kind FROM tenants.schema_versions WHERE tenant_id = @tenant_id",
            [ScalarQueryParameter("tenant_id", "STRING", tenant_id)],
        )
        return {row["table_name"]: row["kind"] for row in rows}


def fleet_of(settings: Settings, *, old: Sequence[str] = (), right: Sequence[str] = ()) -> Fleet:
    """Active tenants, of which the old ones lack a column and a table."""
    fleet = Fleet(with_tables(settings, "tenant_profiles", "schema_versions"))
    fleet.adds(*old, *right)
    for tenant_id in old:
        fleet.has_tables(tenant_id, old=True)
    for tenant_id in right:
        fleet.has_tables(tenant_id)
    return fleet


class ForgetfulBigQuery(BigQuery):
    """Says yes to every changing statement about this tenant and does none of them."""

    def __init__(self, client: google.Client, forgets: TenantId) -> None:
        super().__init__(client)
        self._forgets = tenant_dataset(forgets)
        self.asked: list[str] = []
        self._writing = Lock()

    def execute(self, sql: str, params: Parameters = ()) -> int:
        with self._writing:
            self.asked.append(sql)
        return 0 if f".{self._forgets}." in sql else super().execute(sql, params)
