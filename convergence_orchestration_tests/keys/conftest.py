"""A bootstrapped project with its KMS key for the tests of this folder; each test takes a tenant of its own."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Protocol

import pytest

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import kms_client, secret_manager_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys.model import KeyId, new_key_id
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import Plan, TenantId, TenantState
from convergence_orchestration.tenancy.registry import Tenants
from convergence_orchestration_tests.keys.builders import AUDIT, DEVELOPMENT
from convergence_orchestration_tests.tenancy.builders import tenant

_numbers = count(1)


class AddTenant(Protocol):
    def __call__(self, state: TenantState = ..., plan: Plan = ...) -> TenantId: ...


@pytest.fixture(scope="session")
def kms(project: Settings) -> Iterator[Kms]:
    """That project's KMS with its key."""
    client = kms_client(project)
    one = Kms(client, project.crypto_key_name)
    one.ensure_key_ring()
    one.ensure_crypto_key()
    yield one
    client.transport.close()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="session")
def secrets(project: Settings) -> Iterator[Secrets]:
    """That project's Secret Manager."""
    client = secret_manager_client(project)
    yield Secrets(client, project.gcp_project_id)
    client.transport.close()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="session")
def stores(bigquery: BigQuery, secrets: Secrets) -> KeyStores:
    """That project's stores of keys."""
    return KeyStores.over(bigquery, secrets, DEVELOPMENT, AUDIT)


@pytest.fixture
def add_tenant(bigquery: BigQuery) -> AddTenant:
    """Makes a tenant in a state by its profile alone."""

    def add(state: TenantState = TenantState.ACTIVE, plan: Plan = Plan.STARTER) -> TenantId:
        tenant_id = TenantId(f"holder_no_{next(_numbers)}")
        Tenants(bigquery).activate_profiles([replace(tenant(tenant_id, state), plan=plan)])
        return tenant_id

    return add


@pytest.fixture
def tenant_id(add_tenant: AddTenant) -> TenantId:
    """An active tenant that no other test takes, whose plan allows one key."""
    return add_tenant()


@pytest.fixture
def key_id() -> KeyId:
    """An id that no other test takes."""
    return new_key_id()
