"""The emulated dataset of a tenant for the tests of this folder; each test takes a tenant of its own."""

import pytest

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.tenancy.pipelines.builders import make_dataset


@pytest.fixture
def own(bigquery: BigQuery, tenant_id: TenantId) -> TenantId:
    """A tenant with its dataset and tables."""
    make_dataset(bigquery, tenant_id)
    return tenant_id
