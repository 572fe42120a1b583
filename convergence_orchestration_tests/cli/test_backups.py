import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.api.dagster_standin import (
    DagsterStandIn,
    Launch,
    Materializations,
    materialized,
)
from convergence_orchestration_tests.cli.conftest import CommandLine
from convergence_orchestration_tests.warehouse.backups.builders import add_tenant, backup_of
from convergence_orchestration_tests.warehouse.builders import with_tables


@pytest.fixture
def warehouse(settings: Settings, convergence: CommandLine, monkeypatch: pytest.MonkeyPatch) -> BigQuery:
    del convergence  # only so that it has cleared the environment before
    monkeypatch.setenv("GCP_PROJECT_ID", settings.gcp_project_id)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", str(settings.bigquery_emulator_host))
    return with_tables(settings, "tenant_profiles")


def test_a_backup_is_taken_by_a_run_and_its_name_can_be_piped(
    convergence: CommandLine, dagster: DagsterStandIn
) -> None:
    dagster.work["backup_control_plane"] = lambda _: [
        materialized("control_plane_backup", backup="central_x")
    ]

    ended = convergence("backup", "create", "--tenant", "acme", "--reason", "why not", "--google-cloud")

    assert (ended.exit_code, ended.stdout) == (0, "central_x\n"), ended.output
    assert dagster.launches[0].op_config() == {"tenant_id": "acme", "reason": "why not"}
    assert dagster.launches[0].tags["convergence/actor"].startswith("cli:")


def test_why_a_run_failed_is_said_and_a_wrong_tenant_starts_none(
    convergence: CommandLine, dagster: DagsterStandIn
) -> None:
    def fails(_: Launch) -> Materializations:
        raise PermanentError(ErrorCode.NOT_FOUND, "Name a tenant that has a dataset.")

    dagster.work["backup_control_plane"] = fails

    ended = convergence("backup", "create", "--google-cloud")
    assert ended.exit_code == 1
    assert "Name a tenant that has a dataset." in ended.stderr
    assert convergence("backup", "create", "--tenant", "No", "--google-cloud").exit_code == 1
    assert len(dagster.launches) == 1


def test_backups_are_listed_shown_and_restored_by_a_run_once_the_name_is_typed(
    convergence: CommandLine, dagster: DagsterStandIn, warehouse: BigQuery
) -> None:
    assert "There is none" in convergence("backup", "list", "--google-cloud").stderr
    add_tenant(warehouse, "acme")
    name = backup_of(warehouse).name

    assert name in convergence("backup", "list", "--google-cloud").stdout
    shown = convergence("backup", "show", name, "--google-cloud").stdout
    for fact in (name, "development", "tenant_profiles", "snapshot"):
        assert fact in shown

    dry = convergence("restore", "--from", name, "--google-cloud")
    assert dry.exit_code == 0, dry.output
    assert "tenant_profiles" in dry.stdout
    assert "Nothing was changed" in dry.stderr
    wrong = convergence("restore", "--from", name, "--apply", "--google-cloud", text="yes\n")
    assert wrong.exit_code == 1
    assert "Type the backup's name once more" in wrong.stderr
    assert dagster.launches == []

    dagster.work["restore_control_plane"] = lambda _: [
        materialized("tenants", "tenant_profiles", present_kept_as="central_y")
    ]
    applied = convergence(
        *("restore", "--from", name, "--table", "tenant_profiles", "--apply", "--google-cloud"),
        text=f"{name}\n",
    )
    assert applied.exit_code == 0, applied.output
    assert "kept as central_y" in applied.stderr
    config = dagster.launches[0].op_config()
    assert (config["backup"], config["confirm"], config["apply"]) == (name, name, True)
    assert config["tables"] == ["tenant_profiles"]
    assert not config["readmit_keys"]


def test_without_a_platform_it_says_so(convergence: CommandLine) -> None:
    assert convergence("backup", "list").exit_code == 4
