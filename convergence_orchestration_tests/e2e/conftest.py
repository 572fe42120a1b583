from collections.abc import Iterator

import pytest

from convergence_orchestration_tests.e2e.platform import Platform, free_base_port


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A running, bootstrapped platform which the tests of one file share."""
    platform = Platform(tmp_path_factory.mktemp("platform") / "data", free_base_port())
    platform.up()
    try:
        assert platform.admin("POST", "/bootstrap", {}).status_code == 200
        yield platform
    finally:
        platform.down()
