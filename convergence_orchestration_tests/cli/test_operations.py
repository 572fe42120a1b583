"""`convergence doctor` and `metrics` where nothing runs; with a platform they are in `e2e/test_operations.py`."""

import json
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from convergence_orchestration.local_platform import record
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration_tests.cli.conftest import CommandLine
from convergence_orchestration_tests.local_platform.builders import a_directory, a_record


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return a_directory(tmp_path / ".convergence")


def test_before_the_first_start_the_doctor_says_what_to_start(convergence: CommandLine) -> None:
    ended = convergence("doctor")

    assert ended.exit_code == 0, ended.stdout
    assert "unknown  reachability" in ended.stdout
    assert "-> convergence up\n" in ended.stdout
    assert ended.stdout.endswith("0 problem, 1 unknown\n")


def test_the_doctor_of_a_stopped_platform_names_each_address(
    convergence: CommandLine, directory: DataDirectory
) -> None:
    record.write(directory, a_record(variables={"gcp_project_id": "a-project"}))

    ended = convergence("doctor", "--json")

    assert ended.exit_code == 1
    problems = [finding for finding in json.loads(ended.stdout) if finding["state"] == "problem"]
    assert {finding["area"] for finding in problems} == {"reachability"}
    assert {finding["cure"] for finding in problems} == {"convergence up"}


def test_wrong_settings_are_a_problem_and_not_the_doctors_end(
    convergence: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_PORT", "many")

    ended = convergence("doctor")

    assert ended.exit_code == 1
    assert "problem  configuration    API_PORT: API_PORT is wrong" in ended.stdout
    assert "ok       versions" in ended.stdout
    assert "many" not in ended.stdout


def test_metrics_of_a_dagster_that_is_down_say_so(convergence: CommandLine) -> None:
    ended = convergence("metrics", "--dagster-url", "http://127.0.0.1:9")

    assert ended.exit_code == 0
    families = {family.name: family for family in text_string_to_metric_families(ended.stdout)}
    assert [sample.value for sample in families["convergence_dagster_up"].samples] == [0]


def test_the_review_wants_a_platform(convergence: CommandLine) -> None:
    assert convergence("iam-review", "show").exit_code == 4
    assert convergence("iam-review", "sign", "--name", "Ana").exit_code == 4
