"""The emulated dataset of a tenant for the tests of this folder; each test takes a tenant of its own."""

import pytest

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.provisioning import claim, ensure_tables
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration_tests.tenancy.builders import FIRST


@pytest.fixture
def own(bigquery: BigQuery, tenant_id: TenantId) -> TenantId:
    """A tenant with its dataset and tables."""
    claim(bigquery, tenant_id, FIRST)
    ensure_tables(bigquery, tenant_id, tenant_tables())
    return tenant_id
