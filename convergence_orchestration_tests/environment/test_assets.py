from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from convergence_orchestration.environment.assets import age_result, environment_assets
from convergence_orchestration.environment.cloud import Cloud
from convergence_orchestration.environment.jobs import environment_jobs
from convergence_orchestration.environment.resources import environment_resources
from convergence_orchestration.environment.schedules import environment_schedules
from convergence_orchestration.keys import admin
from convergence_orchestration.keys.admins.model import AgeState, Verdict
from convergence_orchestration.keys.admins.upkeep import Kept
from convergence_orchestration.local_gcp.server import serving
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults

NOW = datetime(2026, 11, 23, tzinfo=UTC)
KEEP_UP = {"admin_key_secret": {"config": {"keep_up": True}}}
NAMES = {"kms_key_ring", "kms_key", "admin_key_secret", "iam_bindings"}


def definitions(settings: Settings) -> dg.Definitions:
    return dg.Definitions(
        assets=environment_assets(),
        jobs=environment_jobs(),
        schedules=environment_schedules(),
        resources=environment_resources(settings),
        executor=dg.in_process_executor,
    )


def run(
    settings: Settings, job: str, partition: str | None = "staging", **config: object
) -> dg.ExecuteInProcessResult:
    return (
        definitions(settings)
        .resolve_job_def(job)
        .execute_in_process(partition_key=partition, run_config=config or None, raise_on_error=False)
    )


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Mapping[str, object]]:
    return {
        event.asset_key.to_user_string(): {
            name: value.value
            for name, value in event.step_materialization_data.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }


def failure_of(result: dg.ExecuteInProcessResult, step: str) -> str:
    data = result.failure_data_for_node(step)
    assert data is not None
    assert data.user_failure_data is not None
    return data.user_failure_data.description or ""


def everything_shown(result: dg.ExecuteInProcessResult) -> str:
    return " ".join(str(event) for event in result.all_events)


def test_one_job_prepares_the_chosen_environment_and_changes_nothing_the_second_time(
    settings: Settings, cloud: Cloud
) -> None:
    first, second = run(settings, "prepare_environment"), run(settings, "prepare_environment")

    made, found = metadata_of(first), metadata_of(second)
    assert first.success
    assert second.success
    assert set(made) == NAMES
    assert {each["action"] for each in made.values()} == {"created"}
    assert {each["action"] for each in found.values()} == {"existed"}
    assert not any("changed" in each for each in found.values())
    assert {event.partition for event in first.get_asset_materialization_events()} == {"staging"}
    assert all(str(each["link"]).startswith("https://console.cloud.google.com/") for each in made.values())
    assert made["admin_key_secret"]["state"] == "FRESH"
    assert made["admin_key_secret"]["version"] == "1"
    assert [each.passed for each in first.get_asset_check_evaluations()] == [True]
    key = admin.read(cloud.settings, cloud.secrets).key.get_secret_value()
    assert key not in everything_shown(first)


def test_a_failed_preparation_says_first_what_to_do(settings: Settings, local_gcp: Emulator) -> None:
    with faults(local_gcp, {"method": "*/CreateKeyRing", "code": "PERMISSION_DENIED"}):
        result = run(settings, "prepare_environment")

    assert not result.success
    sentence = failure_of(result, "kms_key_ring")
    assert sentence.startswith("Permission denied while making sure of key ring")
    assert "gcloud projects add-iam-policy-binding" in sentence


class Wall:
    """The clock of a local cloud."""

    def __init__(self) -> None:
        self.behind = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) - self.behind


def test_an_old_key_fails_the_check_and_the_daily_job_rotates_it(settings: Settings, tmp_path: Path) -> None:
    wall = Wall()
    with serving(tmp_path, clock=wall) as ports:
        address = f"127.0.0.1:{ports.grpc}"
        hosts = {"kms_emulator_host": address, "secret_manager_emulator_host": address}
        aged = settings.model_copy(update={**hosts, "admin_key_overlap_hours": 0.0})
        wall.behind = timedelta(days=100)
        prepared = run(aged, "prepare_environment")
        wall.behind = timedelta()
        rotated = run(aged, "admin_key_rotation", ops=KEEP_UP)

    (before,) = prepared.get_asset_check_evaluations()
    (after,) = rotated.get_asset_check_evaluations()
    shown = metadata_of(rotated)["admin_key_secret"]
    assert (before.passed, before.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert after.passed
    assert (shown["action"], shown["version"], shown["state"]) == ("changed", "2", "FRESH")
    assert "disabled version 1" in str(shown["administrators"])
    assert "cvgadm_" not in everything_shown(rotated)


def test_the_daily_job_that_may_not_rotate_says_so_and_shows_the_age(
    settings: Settings, tmp_path: Path
) -> None:
    wall = Wall()
    with serving(tmp_path, clock=wall) as ports:
        hosts = {"kms_emulator_host": f"127.0.0.1:{ports.grpc}"}
        aged = settings.model_copy(
            update={**hosts, "secret_manager_emulator_host": hosts["kms_emulator_host"]}
        )
        wall.behind = timedelta(days=100)
        run(aged, "prepare_environment")
        rule = {"method": "*/UpdateSecret", "code": "PERMISSION_DENIED"}
        (tmp_path / "faults.yaml").write_text(yaml.safe_dump([rule]))
        result = run(aged, "admin_key_rotation", ops=KEEP_UP)

    (check,) = result.get_asset_check_evaluations()
    assert result.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "grant the missing role" in (check.description or "")
    assert metadata_of(result)["admin_key_secret"]["state"] == "OVERDUE"


def test_rotating_by_hand_makes_one_version_and_shows_no_key(settings: Settings) -> None:
    run(settings, "prepare_environment", "development")

    result = run(
        settings,
        "rotate_admin_key",
        None,
        ops={"rotate_administrators_key": {"config": {"overlap_hours": 0}}},
    )

    (event,) = result.get_asset_materialization_events()
    assert result.success
    assert event.partition == "development"
    shown = metadata_of(result)["admin_key_secret"]
    assert (shown["new_version"], shown["done"]) == ("2", "disabled version 1")
    assert "cvgadm_" not in everything_shown(result)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"overlap_hours": 721}, "Give overlap_hours from 0 to 720"),
        ({"name": "Ann"}, "Choose a name"),
        ({"name": "ann"}, "convergence admin-key add ann"),
    ],
)
def test_a_rotation_that_cannot_be_says_why(
    settings: Settings, config: dict[str, object], words: str
) -> None:
    result = run(settings, "rotate_admin_key", None, ops={"rotate_administrators_key": {"config": config}})

    assert words in failure_of(result, "rotate_administrators_key")


def test_every_day_a_run_looks_after_the_keys_of_this_environment(settings: Settings) -> None:
    (schedule,) = environment_schedules()
    resources = environment_resources(settings)
    context = dg.build_schedule_context(resources=resources, repository_def=repository(settings))

    found = schedule.evaluate_tick(context).run_requests

    assert found is not None
    assert [each.partition_key for each in found] == ["development"]
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


def repository(settings: Settings) -> dg.RepositoryDefinition:
    return definitions(settings).get_repository_def()


def kept(state: AgeState, trouble: str = "", name: str = "administrator") -> Kept:
    return Kept(name, Verdict(state, 1, NOW, NOW + timedelta(days=90)), trouble=trouble)


@pytest.mark.parametrize(
    ("state", "trouble", "passed", "severity", "words"),
    [
        (AgeState.FRESH, "", True, dg.AssetCheckSeverity.WARN, "No key is due."),
        (AgeState.DUE_SOON, "", False, dg.AssetCheckSeverity.WARN, "is rotated on 2027-02-21"),
        (AgeState.DUE, "", False, dg.AssetCheckSeverity.ERROR, "job `rotate_admin_key`"),
        (AgeState.OVERDUE, "No permission.", False, dg.AssetCheckSeverity.ERROR, "No permission."),
        (AgeState.MISSING, "", False, dg.AssetCheckSeverity.ERROR, "none is enabled"),
        (AgeState.FRESH, "It is too short.", False, dg.AssetCheckSeverity.ERROR, "It is too short."),
    ],
)
def test_the_check_warns_ahead_and_fails_for_a_key_that_was_not_rotated(
    state: AgeState, trouble: str, severity: dg.AssetCheckSeverity, words: str, *, passed: bool
) -> None:
    result = age_result([kept(AgeState.FRESH, name="ann"), kept(state, trouble)])

    assert (result.passed, result.severity) == (passed, severity)
    assert words in (result.description or "")
