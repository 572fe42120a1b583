from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from convergence_orchestration.gcp.resources import settings_resources
from convergence_orchestration.health.levels.assets import SLO_REPORT, report_service_levels
from convergence_orchestration.releases.resources import release_resources
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.emulators import Emulator


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as one:
        yield one


def executed(
    settings: Settings, local_gcp: Emulator, instance: dg.DagsterInstance, day: str
) -> dg.ExecuteInProcessResult:
    own = settings.model_copy(update={"monitoring_emulator_host": local_gcp.grpc_address})
    return report_service_levels.execute_in_process(
        run_config={"ops": {"write_service_levels": {"config": {"day": day}}}},
        resources={
            "bigquery": settings_resources(own)["bigquery"],
            "releases": release_resources(own)["releases"],
        },
        instance=instance,
        raise_on_error=False,
    )


def test_a_day_of_nothing_says_so(
    settings: Settings, local_gcp: Emulator, instance: dg.DagsterInstance
) -> None:
    result = executed(settings, local_gcp, instance, "")

    (event,) = result.get_asset_materialization_events()
    made = event.step_materialization_data.materialization
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    assert (made.asset_key.to_user_string(), made.partition) == (SLO_REPORT, yesterday.isoformat())
    assert set(made.metadata) == {"nothing_known"}


@pytest.mark.parametrize("day", ["yesterday", "2999-01-01", "2026-13-01"])
def test_a_day_that_is_none_is_refused(
    settings: Settings, local_gcp: Emulator, instance: dg.DagsterInstance, day: str
) -> None:
    result = executed(settings, local_gcp, instance, day)

    (failed,) = [event for event in result.all_events if event.is_step_failure]
    declared = failed.step_failure_data.user_failure_data
    assert declared is not None
    assert declared.description == "Name a day that has begun, as 2026-11-23."
