"""A BigQuery process for each file of tests, for folders whose `conftest.py` imports these fixtures.

local-bigquery gets slower with each project it has ever seen, and there every test takes one of its own.
"""

from collections.abc import Iterator

import pytest

from convergence_orchestration_tests.emulators import EmulatedSettings, Emulator, running_local_bigquery


@pytest.fixture(scope="module", name="local_bigquery")
def fresh_local_bigquery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running_local_bigquery(tmp_path_factory.mktemp("local-bigquery")) as (emulator, _):
        yield emulator


@pytest.fixture(scope="module", name="emulated_settings")
def fresh_emulated_settings(local_gcp: Emulator, local_bigquery: Emulator) -> EmulatedSettings:
    return EmulatedSettings(local_gcp, local_bigquery)
