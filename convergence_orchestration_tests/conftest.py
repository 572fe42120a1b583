import os
import signal
from pathlib import Path

import hypothesis
import pytest

from convergence_orchestration.settings import Settings

pytest_plugins = ["convergence_orchestration_tests.emulators"]

hypothesis.settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("unhurried")

# a shell's background job ignores SIGINT; Dagster makes SIGTERM the same, and every process that a test starts inherits that
signal.signal(signal.SIGINT, signal.default_int_handler)

for _variable in [name.upper() for name in Settings.model_fields]:
    os.environ.pop(_variable, None)  # what the developer's shell sets must not change what the tests see


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", metavar="DIR", help="let browser tests write the pages' pictures there")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent / "e2e" in item.path.parents:
            item.add_marker(pytest.mark.e2e)
