"""A bootstrapped project with its KMS key for the tests of this folder; each test takes a tenant of its own."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import kms_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.model import KeyId, new_key_id
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId, TenantState
from convergence_orchestration.tenancy.registry import Tenants
from convergence_orchestration_tests.tenancy.builders import tenant

_numbers = count(1)


@pytest.fixture(scope="session")
def kms(project: Settings) -> Iterator[Kms]:
    """That project's KMS with its key."""
    client = kms_client(project)
    one = Kms(client, project.crypto_key_name)
    one.ensure_key_ring()
    one.ensure_crypto_key()
    yield one
    client.transport.close()  # type: ignore[no-untyped-call]


@pytest.fixture
def add_tenant(bigquery: BigQuery) -> Callable[[TenantState], TenantId]:
    """Makes a tenant in a state by its profile alone."""

    def add(state: TenantState) -> TenantId:
        tenant_id = TenantId(f"holder_no_{next(_numbers)}")
        Tenants(bigquery).activate_profiles([tenant(tenant_id, state)])
        return tenant_id

    return add


@pytest.fixture
def tenant_id(add_tenant: Callable[[TenantState], TenantId]) -> TenantId:
    """An active tenant that no other test takes."""
    return add_tenant(TenantState.ACTIVE)


@pytest.fixture
def key_id() -> KeyId:
    """An id that no other test takes."""
    return new_key_id()
