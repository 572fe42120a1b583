from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from convergence_orchestration.gcp.resources import settings_resources
from convergence_orchestration.health.levels.assets import SLO_REPORT, report_service_levels
from convergence_orchestration.health.store import HealthChecks
from convergence_orchestration.local_gcp.server import serving
from convergence_orchestration.releases.resources import release_resources
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.health.builders import count_requests, result
from convergence_orchestration_tests.warehouse.builders import with_tables


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as one:
        yield one


def executed(
    settings: Settings, local_gcp: Emulator, instance: dg.DagsterInstance, day: str
) -> dg.ExecuteInProcessResult:
    return _executed(
        settings.model_copy(update={"monitoring_emulator_host": local_gcp.grpc_address}), instance, day
    )


def _executed(own: Settings, instance: dg.DagsterInstance, day: str) -> dg.ExecuteInProcessResult:
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


def test_a_day_shows_what_was_counted_and_what_the_probes_found(
    settings: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    where = {"service": "convergence-api-dev", "project": settings.gcp_project_id}
    count_requests(tmp_path, [(ago, 20.0, 200) for ago in range(60, 660, 6)], now, **where)
    HealthChecks(with_tables(settings, "health_checks")).append([result(at=now)], "run")
    with serving(tmp_path) as ports:
        own = settings.model_copy(update={"monitoring_emulator_host": f"127.0.0.1:{ports.grpc}"})
        ended = _executed(own, instance, now.date().isoformat())

    (event,) = ended.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    assert set(metadata) == {"development"}
    page = str(metadata["development"].value)
    assert "Found alive by the probes: 100.000%" in page
    assert "| all | 1d | 100 |" in page
    assert "data:image/png;base64," in page
