from collections.abc import Iterator
from pathlib import Path

import pytest

from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.emulators import in_memory
from convergence_orchestration_tests.releases.cloud import RunCloud, Works, running_cloud, works_at


@pytest.fixture(scope="session")
def run_cloud() -> Iterator[RunCloud]:
    """Cloud Run, node and front door for the tests of one worker; each takes a service of its own."""
    with in_memory() as directory, running_cloud(Path(directory)) as cloud:
        yield cloud


@pytest.fixture
def works(run_cloud: RunCloud, project: Settings) -> Iterator[Works]:
    """A site of a bootstrapped project for one test alone."""
    with works_at(run_cloud, project) as one:
        yield one
