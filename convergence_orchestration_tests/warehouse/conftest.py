from collections.abc import Iterator

import pytest

from convergence_orchestration.gcp.clients import bigquery_client


@pytest.fixture(autouse=True)
def _nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """local-bigquery gets slower with every table that it holds, so a test's tables go when it ends."""
    if "settings" not in request.fixturenames:
        yield
        return
    client = bigquery_client(request.getfixturevalue("settings"))
    yield
    for dataset in client.list_datasets():
        client.delete_dataset(dataset.reference, delete_contents=True)
    client.close()  # type: ignore[no-untyped-call]
