"""A tenant with its own dataset, and its calls to an API under test."""

from dataclasses import dataclass
from typing import Any

import httpx

from convergence_orchestration.keys.model import ALL_SCOPES, Scope
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.pipelines.history import RunHistory
from convergence_orchestration.tenancy.pipelines.usage import UsageDays
from convergence_orchestration_tests.api.platform import Api, ControlPlane
from convergence_orchestration_tests.tenancy.pipelines.builders import make_dataset

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
