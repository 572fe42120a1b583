"""A tenant with its own dataset, and its calls to an API under test."""

from dataclasses import dataclass
from typing import Any

import httpx
from google.cloud.bigquery import ScalarQueryParameter

from convergence_orchestration.keys.model import ALL_SCOPES, Scope
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.pipelines.history import RunHistory
from convergence_orchestration.tenancy.pipelines.usage import UsageDays
from convergence_orchestration.warehouse.model import tenant_dataset
from convergence_orchestration_tests.api.platform import Api, ControlPlane
from convergence_orchestration_tests.tenancy.pipelines.builders import make_dataset

_USED = """
INSERT INTO usage_daily (
  usage_date, pipeline_runs, failed_runs, api_requests, bytes_processed, slot_ms, rows_written, updated_at
)
VALUES (@day, @runs, 0, 0, 0, 0, 0, CURRENT_TIMESTAMP())
"""
RUNS = "/api/v1/tenants/me/pipeline-runs"


@dataclass(frozen=True)
class OwnCalls:
    """A tenant's program: it knows its key and nothing else."""

    api: Api
    tenant_id: TenantId
    key: str

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.api.call("GET", path, headers={"X-API-Key": self.key}, params=params)

    def start(
        self, body: object = None, idempotency_key: str | None = None, **headers: str
    ) -> httpx.Response:
        sent = {"X-API-Key": self.key} | headers
        if idempotency_key is not None:
            sent["Idempotency-Key"] = idempotency_key
        return self.api.call("POST", RUNS, headers=sent, json=body or {"pipeline": "data_quality"})

    def with_scopes(self, *scopes: Scope) -> "OwnCalls":
        return own_calls(self.api, self.tenant_id, scopes)

    def has_used_today(self, runs: int) -> None:
        """Count runs that have ended."""
        day = ScalarQueryParameter("day", "DATE", self.api.clock().date())
        self.api.services.bigquery.execute_in(
            tenant_dataset(self.tenant_id), _USED, [day, ScalarQueryParameter("runs", "INT64", runs)]
        )

    @property
    def days(self) -> UsageDays:
        return UsageDays(self.api.services.bigquery, self.tenant_id)

    @property
    def history(self) -> RunHistory:
        return RunHistory(self.api.services.bigquery, self.tenant_id)


def own_calls(api: Api, tenant_id: TenantId, scopes: tuple[Scope, ...] = ALL_SCOPES) -> OwnCalls:
    """A tenant's program with a key of its own."""
    return OwnCalls(api, tenant_id, api.known_key(tenant_id, scopes=scopes)["api_key"])


def provisioned(plane: ControlPlane) -> TenantId:
    """An ACTIVE tenant on the plan STARTER with its dataset and tables."""
    tenant_id = TenantId(plane.tenant())
    make_dataset(plane.bigquery, tenant_id)
    return tenant_id
