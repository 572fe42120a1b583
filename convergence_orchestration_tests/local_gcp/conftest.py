from collections.abc import Iterator
from pathlib import Path

import pytest

from convergence_orchestration_tests.local_gcp.clouds import Cloud, running_cloud
from convergence_orchestration_tests.local_gcp.control_planes import ControlPlane, running_control_plane


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A local cloud for one test alone, on a clock that the test sets."""
    with running_cloud(tmp_path) as running:
        yield running


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """Cloud Run's and Cloud Build's control planes for one test alone; no node works."""
    with running_control_plane(tmp_path) as running:
        yield running
