from collections.abc import Iterator

import pytest

from convergence_orchestration.gcp.clients import secret_manager_client
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.settings import Settings


@pytest.fixture
def secrets(settings: Settings) -> Iterator[Secrets]:
    """The Secret Manager of the test's own project."""
    client = secret_manager_client(settings)
    yield Secrets(client, settings.gcp_project_id)
    client.transport.close()  # type: ignore[no-untyped-call]
