"""A bootstrapped project for the tests of this folder; each test takes a tenant id of its own."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import hypothesis
import pytest

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings, load_settings
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.warehouse.bootstrap import ensure_dataset, ensure_tables
from convergence_orchestration.warehouse.catalogue import central_tables
from convergence_orchestration.warehouse.model import tenant_dataset
from convergence_orchestration_tests.emulators import Emulator, fresh_project_id

_numbers = count(1)

hypothesis.settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("unhurried")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks BigQuery stays on one worker, so that one project is bootstrapped once."""
    for item in items:
        if item.path.parent == Path(__file__).parent and "bigquery" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("tenancy"))


@pytest.fixture(scope="session")
def project(local_bigquery: Emulator) -> Settings:
    """Settings of a project of this folder's own; nothing here asks KMS or Secret Manager."""
    return load_settings(
        _env_file=None, gcp_project_id=fresh_project_id(), bigquery_emulator_host=local_bigquery.rest_url
    )


@pytest.fixture(scope="session")
def bigquery(project: Settings) -> BigQuery:
    """That project, bootstrapped."""
    warehouse = BigQuery(bigquery_client(project))
    ensure_dataset(warehouse)
    list(ensure_tables(warehouse, central_tables()))
    return warehouse


@pytest.fixture
def tenant_id(bigquery: BigQuery) -> Iterator[TenantId]:
    """An id that no other test takes; its dataset goes afterwards, for every table slows the emulator."""
    one = TenantId(f"tenant_no_{next(_numbers)}")
    yield one
    bigquery.delete_dataset(tenant_dataset(one))
