import subprocess
import sys
from pathlib import Path

import pytest

from convergence_orchestration.keys.token import generate_admin_key
from convergence_orchestration.settings import Environment
from convergence_orchestration_tests.cli.conftest import CommandLine
from convergence_orchestration_tests.emulators import Emulator, fresh_project_id


@pytest.fixture
def project(local_gcp: Emulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """A Google Cloud project that the environment points at."""
    project = fresh_project_id()
    monkeypatch.setenv("SECRET_MANAGER_EMULATOR_HOST", local_gcp.grpc_address)
    monkeypatch.setenv("KMS_EMULATOR_HOST", local_gcp.grpc_address)
    monkeypatch.setenv("GCP_PROJECT_ID", project)
    monkeypatch.setenv("ENVIRONMENT", "staging")
    return project


def test_a_key_is_stored_in_google_cloud_and_read_again(convergence: CommandLine, project: str) -> None:
    key = generate_admin_key(Environment.STAGING).get_secret_value()
    assert convergence("admin-key", "--google-cloud").exit_code == 1

    stored = convergence("admin-key", "--google-cloud", "--set", text=f"{key}\n")

    assert stored.stdout == ""
    assert f"projects/{project}/secrets/admin-api-key-staging/versions/1" in stored.stderr
    assert convergence("admin-key", "--google-cloud").stdout == f"{key}\n"


@pytest.mark.usefixtures("project")
def test_what_cannot_be_a_key_is_not_stored(convergence: CommandLine) -> None:
    refused = convergence("admin-key", "--google-cloud", "--set", text="short\n")

    assert refused.exit_code == 2
    assert "too short" in refused.stderr


GOOGLE = "--google-cloud"


@pytest.mark.usefixtures("project")
def test_named_administrators_are_added_rotated_revealed_and_removed(convergence: CommandLine) -> None:
    convergence("environment", "prepare", GOOGLE)
    added = convergence("admin-key", "add", "ann", GOOGLE)
    listed = convergence("admin-key", "list", GOOGLE)
    rotated = convergence("admin-key", "rotate", "ann", "--overlap-hours", "0", GOOGLE)
    revealed = convergence("admin-key", "reveal", "ann", GOOGLE)
    own = convergence("admin-key", "rotate", GOOGLE)
    removed = convergence("admin-key", "remove", "ann", GOOGLE)

    assert added.exit_code == rotated.exit_code == removed.exit_code == 0
    assert added.stdout.startswith("cvgadm_staging_")
    assert rotated.stdout == revealed.stdout != added.stdout
    assert own.stdout == convergence("admin-key", GOOGLE).stdout
    assert "ann" in listed.stdout
    assert "FRESH" in listed.stdout
    assert "cvgadm_" not in listed.output + added.stderr + rotated.stderr + removed.output
    assert convergence("admin-key", "reveal", "ann", GOOGLE).exit_code == 1


@pytest.mark.usefixtures("project")
def test_what_cannot_be_a_name_is_refused(convergence: CommandLine) -> None:
    refused = convergence("admin-key", "add", "Ann", GOOGLE)

    assert refused.exit_code == 1
    assert "Choose a name" in refused.stderr


def test_an_option_before_the_command_is_refused_and_not_passed_over(convergence: CommandLine) -> None:
    refused = convergence("admin-key", GOOGLE, "rotate")

    assert refused.exit_code == 2
    assert "behind the command" in refused.stderr


def test_an_environment_is_prepared_shown_and_found_prepared(convergence: CommandLine, project: str) -> None:
    before = convergence("environment", "show", GOOGLE)
    first = convergence("environment", "prepare", "--environment", "production", GOOGLE)
    again = convergence("environment", "prepare", "--environment", "production", GOOGLE)
    after = convergence("environment", "show", "--environment", "production", GOOGLE)

    assert "missing" in before.stdout
    assert f"projects/{project}/secrets/admin-api-key-prod/versions/1 created." in first.stdout
    assert "production is prepared; 6 things were made or changed." in first.stderr
    assert "production is prepared; nothing changed." in again.stderr
    assert "missing" not in after.stdout
    assert "cvgadm_" not in first.output + again.output + after.output


def test_without_a_platform_there_is_no_administrator_to_list(convergence: CommandLine) -> None:
    for words in (("admin-key", "list"), ("admin-key", "add", "ann"), ("environment", "show")):
        assert convergence(*words).exit_code == 4


@pytest.mark.parametrize(
    ("environment", "status", "words"),
    [
        ({}, 0, "secrets/admin-api-key-staging/versions/1 created."),
        ({"ENVIRONMENT": "nowhere"}, 1, "ENVIRONMENT is wrong"),
    ],
)
def test_the_step_of_the_start_prepares_the_environment_and_tells_nothing_of_the_key(
    project: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    status: int,
    words: str,
) -> None:
    del project
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "convergence_orchestration.local_platform.prepare"]

    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert ended.returncode == status
    assert words in ended.stdout + ended.stderr
    assert "cvgadm_" not in ended.stdout + ended.stderr
