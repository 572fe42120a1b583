from collections.abc import Iterator

import pytest

from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn, played_dagster
from convergence_orchestration_tests.api.platform import Api, ControlPlane, patiently, served
from convergence_orchestration_tests.emulators import EmulatedSettings, fresh_project_id


@pytest.fixture(scope="session")
def control_plane(emulated_settings: EmulatedSettings) -> ControlPlane:
    """A bootstrapped project which the tests of one worker share; each takes tenants of its own.

    They are made before the API starts, which so knows them from its first look; one worker may get every
    test, so there are more than all tests take.
    """
    plane = ControlPlane(emulated_settings(fresh_project_id()))
    plane.bootstrap()
    plane.add_tenants(1_000)
    return plane


@pytest.fixture(scope="session")
def shared_dagster() -> Iterator[DagsterStandIn]:
    with played_dagster() as standin:
        yield standin


@pytest.fixture
def dagster(shared_dagster: DagsterStandIn, control_plane: ControlPlane) -> DagsterStandIn:
    """A stand-in for Dagster which does the jobs at once, and remembers no run of another test."""
    shared_dagster.forget()
    shared_dagster.work.update(control_plane.jobs())
    return shared_dagster


@pytest.fixture(scope="session")
def shared_api(control_plane: ControlPlane, shared_dagster: DagsterStandIn) -> Iterator[Api]:
    with served(patiently(control_plane.settings), shared_dagster) as api:
        api.wait_until_keys_are_known()
        yield api


@pytest.fixture
def api(shared_api: Api, dagster: DagsterStandIn) -> Api:
    """A running API. It looks at the ledger when it starts and hardly again: what it learns later, it is told."""
    assert shared_api.dagster is dagster
    shared_api.clock.ahead *= 0
    return shared_api
