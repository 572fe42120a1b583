"""A bootstrapped project with its KMS key for the tests of this folder; each test takes a tenant of its own."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import hypothesis
import pytest

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client, kms_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.model import KeyId, new_key_id
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId, TenantState
from convergence_orchestration.tenancy.registry import Tenants
from convergence_orchestration.warehouse.bootstrap import ensure_dataset, ensure_tables
from convergence_orchestration.warehouse.catalogue import central_tables
from convergence_orchestration_tests.emulators import EmulatedSettings, fresh_project_id
from convergence_orchestration_tests.tenancy.builders import tenant

_numbers = count(1)

hypothesis.settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("unhurried")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks BigQuery stays on one worker, so that one project is bootstrapped once."""
    for item in items:
        if item.path.parent == Path(__file__).parent and "bigquery" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("keys"))


@pytest.fixture(scope="session")
def project(emulated_settings: EmulatedSettings) -> Settings:
    """Settings of a project of this folder's own."""
    return emulated_settings(fresh_project_id())


@pytest.fixture(scope="session")
def bigquery(project: Settings) -> BigQuery:
    """That project, bootstrapped."""
    warehouse = BigQuery(bigquery_client(project))
    ensure_dataset(warehouse)
    list(ensure_tables(warehouse, central_tables()))
    return warehouse


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
        tenant_id = TenantId(f"tenant_no_{next(_numbers)}")
        Tenants(bigquery).upsert_profile(tenant(tenant_id, state))
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
