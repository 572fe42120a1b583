"""Which tenants have tables to look after, and how those differ from the catalogue.

What belongs here: reading. The comparison is `warehouse/fleet.py`, what is done about it `rollout.py`.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final

from google.cloud.bigquery import ArrayQueryParameter

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import TenantId, TenantState
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration.warehouse.fleet import FleetDrift, fleet_drift
from convergence_orchestration.warehouse.model import TENANT_DATASET_PREFIX, tenant_dataset

_SERVED: Final = (TenantState.ACTIVE, TenantState.SUSPENDED)
_SERVED_TENANTS: Final = Path(__file__).with_name("served_tenants.sql").read_text("utf-8")


def served_tenants(bigquery: BigQuery) -> list[TenantId]:
    """The tenants that are ACTIVE or SUSPENDED, by id; the others' tables are being made or are on their way out."""
    states = ArrayQueryParameter("states", "STRING", [str(state) for state in _SERVED])
    return [TenantId(row["tenant_id"]) for row in bigquery.stream(_SERVED_TENANTS, [states])]


def drift_of(bigquery: BigQuery, tenants: Collection[TenantId]) -> FleetDrift:
    """How the real tables of these tenants differ from the catalogue, by one query.

    Raises:
        As `fleet_drift`: a failed read is no answer.
    """
    return fleet_drift(bigquery, {tenant_dataset(tenant_id) for tenant_id in tenants}, tenant_tables())


def tenant_of(dataset_id: str) -> TenantId:
    """Whose dataset it is."""
    return TenantId(dataset_id.removeprefix(TENANT_DATASET_PREFIX))
