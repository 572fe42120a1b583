from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from convergence_orchestration.gcp.resources import settings_resources
from convergence_orchestration.settings import Settings, load_settings
from convergence_orchestration.warehouse.assets import warehouse_assets
from convergence_orchestration.warehouse.backups.assets import backup_assets
from convergence_orchestration.warehouse.backups.jobs import backup_jobs, restore_tables
from convergence_orchestration.warehouse.backups.listing import every_backup
from convergence_orchestration.warehouse.backups.model import Scope
from convergence_orchestration.warehouse.backups.resources import BackupPolicy, backup_resources
from convergence_orchestration.warehouse.backups.schedules import backup_schedules
from convergence_orchestration_tests.tenancy.dagster_runs import undescribed
from convergence_orchestration_tests.warehouse.backups.builders import add_tenant, profiles
from convergence_orchestration_tests.warehouse.builders import with_tables


class Dagster:
    """Runs the jobs in this process."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._definitions = dg.Definitions(
            assets=[*warehouse_assets(), *backup_assets()],
            jobs=backup_jobs(),
            schedules=backup_schedules(),
            resources={**settings_resources(settings), **backup_resources(settings)},
            executor=dg.in_process_executor,
        )

    def back_up(self, **config: object) -> dg.ExecuteInProcessResult:
        return self._run("backup_control_plane", "control_plane_backup", config)

    def restore(self, **config: object) -> dg.ExecuteInProcessResult:
        return self._run("restore_control_plane", "restore_tables", config)

    def job(self, name: str) -> dg.JobDefinition:
        return self._definitions.resolve_job_def(name)

    def _run(self, job: str, op: str, config: dict[str, object]) -> dg.ExecuteInProcessResult:
        return self.job(job).execute_in_process(
            run_config={"ops": {op: {"config": config}}},
            instance=self._instance,
            raise_on_error=False,
        )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """What the only op says at its end, by label."""
    (output,) = [event.step_output_data for event in result.all_events if event.is_successful_output]
    return {label: value.value for label, value in output.metadata.items()}


def materialized(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    return {
        event.asset_key.to_user_string(): {
            label: value.value
            for label, value in event.step_materialization_data.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }


def failure(result: dg.ExecuteInProcessResult, op: str) -> str:
    found = result.failure_data_for_node(op)
    assert found is not None
    assert found.user_failure_data is not None
    return found.user_failure_data.description or ""


def test_a_backup_is_shown_looked_into_and_restored(settings: Settings, instance: dg.DagsterInstance) -> None:
    warehouse = with_tables(settings, "tenant_profiles", "sealed_keys")
    add_tenant(warehouse, "acme")
    dagster = Dagster(settings, instance)

    taken = dagster.back_up(reason="before a release")

    assert taken.success
    shown = materialized(taken)["control_plane_backup"]
    (backup,) = every_backup(warehouse)
    assert (shown["backup"], shown["of"]) == (backup.name, "the central tables")
    assert (shown["dagster/row_count"], shown["left_out"], shown["copied_by_query"]) == (
        1,
        "sealed_keys",
        "none",
    )
    assert [record.data["table"] for record in shown["tables"].records] == ["tenant_profiles"]
    assert (backup.run_id, backup.reason) == (taken.run_id, "before a release")

    warehouse.execute("UPDATE tenants.tenant_profiles SET state = 'SUSPENDED' WHERE TRUE")
    dry = dagster.restore(backup=backup.name)
    assert metadata_of(dry)["dry_run"] is True
    (row,) = metadata_of(dry)["tables"].records
    assert (row.data["go_back"], row.data["would_be_lost"]) == ("1", "what changed in 1 rows since")
    assert profiles(warehouse) == {"acme": "SUSPENDED"}
    assert len(every_backup(warehouse)) == 1

    unconfirmed = dagster.restore(backup=backup.name, apply=True)
    assert failure(unconfirmed, "restore_tables").startswith("Type the backup's name once more")

    applied = dagster.restore(backup=backup.name, apply=True, confirm=backup.name)
    assert profiles(warehouse) == {"acme": "ACTIVE"}
    present = every_backup(warehouse)[0].name
    assert present != backup.name
    assert metadata_of(applied)["present_kept_as"] == present
    assert materialized(applied)["tenants/tenant_profiles"]["present_kept_as"] == present


def test_what_is_wrong_is_said_first(settings: Settings, instance: dg.DagsterInstance) -> None:
    refused = Dagster(settings, instance).back_up(tenant_id="No")

    assert failure(refused, "control_plane_backup").startswith("Correct the tenant's id")


def test_a_run_that_dagster_tries_again_asks_for_the_backup_that_it_began(
    instance: dg.DagsterInstance,
) -> None:
    policy = BackupPolicy(environment="development", retention_days=7)
    job = Dagster(load_settings(_env_file=None), instance).job("backup_control_plane")
    first = instance.create_run_for_job(job)
    root = first.run_id
    retry = instance.create_run_for_job(
        job, tags={"dagster/retry_number": "1"}, root_run_id=root, parent_run_id=root
    )
    by_hand = instance.create_run_for_job(job, root_run_id=root, parent_run_id=root)

    asked = [policy.asked(Scope(), run, instance, "x") for run in (first, retry, by_hand)]

    assert asked[0] == asked[1]
    assert asked[2].run_id == by_hand.run_id
    assert asked[0].kept == timedelta(days=7)


def test_the_daily_backup_runs_from_the_start_and_every_field_of_the_forms_is_described(
    settings: Settings,
) -> None:
    (schedule,) = backup_schedules()

    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert undescribed(restore_tables) == []
    assert undescribed(backup_assets()[0].op) == []
    policy = backup_resources(settings)["backups"]
    assert isinstance(policy, BackupPolicy)
    assert policy.retention_days == 30
