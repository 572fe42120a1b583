from pathlib import Path

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from dagster._core.workspace.config_schema import process_workspace_config

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.local_platform import dagster_home
from convergence_orchestration.local_platform.ports import Ports
from convergence_orchestration_tests.local_platform.builders import a_directory

ROOT = Path(__file__).resolve().parents[2]


def test_both_files_are_what_dagster_understands(tmp_path: Path) -> None:
    directory = a_directory(tmp_path / "a directory")

    assert dagster_home.prepare(directory, Ports(9000)) is True

    instance, _ = dagster_instance_config(str(directory.dagster_home))
    assert instance["telemetry"] == {"enabled": False}
    assert instance["run_coordinator"]["class"] == "DefaultRunCoordinator"
    workspace = yaml.safe_load(directory.workspace_file.read_text())
    assert process_workspace_config(workspace).success
    assert workspace["load_from"][0]["grpc_server"] == {
        "host": "127.0.0.1",
        "port": 9005,
        "location_name": "convergence_orchestration",
    }


def test_the_workspace_of_the_repository_is_what_dagster_understands() -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())

    assert process_workspace_config(workspace).success


def test_the_next_start_refreshes_the_configuration_and_knows_that_there_is_storage(tmp_path: Path) -> None:
    directory = a_directory(tmp_path)
    dagster_home.prepare(directory, Ports(9000))
    (directory.dagster_home / "history").mkdir()
    (directory.dagster_home / "history" / "runs.db").touch()
    (directory.dagster_home / "dagster.yaml").write_text("old")

    assert dagster_home.prepare(directory, Ports(9100)) is False

    assert "telemetry" in (directory.dagster_home / "dagster.yaml").read_text()
    assert "9105" in directory.workspace_file.read_text()


def test_without_a_checkout_it_says_where_to_run_it(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="from a checkout"):
        dagster_home.prepare(a_directory(tmp_path), Ports(9000), tmp_path / "nowhere.yaml")
