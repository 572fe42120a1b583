from collections.abc import Iterator
from pathlib import Path

import pytest

from convergence_orchestration_tests.local_gcp.clouds import Cloud, running_cloud


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A local cloud for one test alone, on a clock that the test sets."""
    with running_cloud(tmp_path) as running:
        yield running
