from collections.abc import Iterator

import pytest

from convergence_orchestration.environment.cloud import Cloud, opened
from convergence_orchestration.settings import Environment, Settings


@pytest.fixture
def staging(settings: Settings) -> Settings:
    """Settings of staging in the test's own project."""
    return settings.of(Environment.STAGING)


@pytest.fixture
def cloud(staging: Settings) -> Iterator[Cloud]:
    """Staging, in which nothing is prepared yet."""
    with opened(staging) as cloud:
        yield cloud
