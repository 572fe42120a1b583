"""A bootstrapped project for the tests of this folder; each test takes a tenant id of its own."""

from collections.abc import Iterator
from itertools import count

import pytest

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.warehouse.model import tenant_dataset

_numbers = count(1)


@pytest.fixture
def tenant_id(bigquery: BigQuery) -> Iterator[TenantId]:
    """An id that no other test takes; its dataset goes afterwards, for every table slows the emulator."""
    one = TenantId(f"tenant_no_{next(_numbers)}")
    yield one
    bigquery.delete_dataset(tenant_dataset(one))
