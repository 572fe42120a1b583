from pathlib import Path

import pytest
from pydantic import SecretStr

from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.environment import (
    listening_host,
    platform_environment,
    platform_settings,
    remembered,
    without_admin_key,
)
from convergence_orchestration.local_platform.ports import Ports
from convergence_orchestration.local_platform.processes import PLATFORM_ID_VARIABLE
from convergence_orchestration.settings import Environment, Settings, load_settings
from convergence_orchestration_tests.local_platform.builders import a_directory, a_record


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no .env of the developer's


def environment_of(settings: Settings, tmp_path: Path) -> dict[str, str]:
    return platform_environment(settings, Ports(9000), a_directory(tmp_path / "data"), "the-id")


def test_children_are_told_where_everything_is(tmp_path: Path) -> None:
    environment = environment_of(load_settings(), tmp_path)

    assert environment["API_HOST"] == "127.0.0.1"
    assert environment["API_PORT"] == "9000"
    assert environment["DAGSTER_URL"] == "http://127.0.0.1:9001"
    assert environment["BIGQUERY_EMULATOR_HOST"] == "http://127.0.0.1:9002"
    assert environment["KMS_EMULATOR_HOST"] == environment["SECRET_MANAGER_EMULATOR_HOST"] == "127.0.0.1:9003"
    assert environment["RUN_EMULATOR_HOST"] == environment["BUILD_EMULATOR_HOST"] == "127.0.0.1:9003"
    assert environment["RUN_AUTHORITY_FILE"] == str(tmp_path / "data" / "local_gcp" / "ca" / "ca.pem")
    assert environment["DAGSTER_HOME"] == str(tmp_path / "data" / "dagster")
    assert environment[PLATFORM_ID_VARIABLE] == "the-id"
    assert "ADMIN_API_KEY" not in environment


def test_children_get_what_was_read_from_the_dot_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(
        "GCP_PROJECT_ID=from-dot-env\nCORS_ORIGINS=https://a.example,https://b.example\n"
    )
    monkeypatch.setenv("log_level", "error")
    monkeypatch.setenv("UNRELATED", "kept")

    environment = environment_of(load_settings(), tmp_path)

    assert environment["GCP_PROJECT_ID"] == "from-dot-env"
    assert environment["CORS_ORIGINS"] == "https://a.example,https://b.example"
    assert environment["LOG_LEVEL"] == "ERROR"
    assert environment["UNRELATED"] == "kept"
    assert "log_level" not in environment


def test_settings_survive_the_way_through_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(
        disable_auth=True,
        cors_origins=("https://a.example",),
        environment=Environment.DEVELOPMENT,
        run_wait_seconds=1.5,
    )
    for name, value in environment_of(settings, tmp_path).items():
        monkeypatch.setenv(name, value)

    again = load_settings()

    assert (again.disable_auth, again.cors_origins, again.run_wait_seconds) == (
        True,
        ("https://a.example",),
        1.5,
    )


def test_the_administrators_key_can_be_kept_from_a_child(tmp_path: Path) -> None:
    environment = environment_of(load_settings(admin_api_key=SecretStr("a key of sixteen or more")), tmp_path)

    assert environment["ADMIN_API_KEY"] == "a key of sixteen or more"
    assert "ADMIN_API_KEY" not in without_admin_key(environment)


def test_a_relative_credentials_file_is_found_from_the_data_directory(tmp_path: Path) -> None:
    environment = environment_of(load_settings(google_application_credentials="account.json"), tmp_path)

    assert environment["GOOGLE_APPLICATION_CREDENTIALS"] == str(tmp_path / "account.json")


def test_the_api_listens_elsewhere_only_when_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert listening_host(load_settings()) == "127.0.0.1"
    monkeypatch.setenv("API_HOST", "10.0.0.7")
    assert listening_host(load_settings()) == "10.0.0.7"


def test_a_record_remembers_no_secret(tmp_path: Path) -> None:
    settings = load_settings(
        admin_api_key=SecretStr("a key of sixteen or more"), environment=Environment.STAGING
    )

    assert remembered(settings, DataDirectory(tmp_path)) == {
        "gcp_project_id": "convergence-local",
        "bigquery_location": "US",
        "kms_location": "us-central1",
        "kms_key": "api-key-encryption",
        "environment": "staging",
        "run_authority_file": str(tmp_path / "local_gcp" / "ca" / "ca.pem"),
    }


def test_commands_from_anywhere_meet_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCP_PROJECT_ID", "of-this-shell")
    monkeypatch.setenv("ADMIN_API_KEY", "of-this-shell-too")
    platform = a_record(
        base_port=9000,
        variables={
            "gcp_project_id": "the-platforms",
            "environment": "staging",
            "run_authority_file": "/ca.pem",
        },
    )

    settings = platform_settings(platform)

    assert settings.gcp_project_id == "the-platforms"
    assert settings.environment is Environment.STAGING
    assert settings.run_authority_file == "/ca.pem"
    assert settings.kms_emulator_host == "127.0.0.1:9003"
    assert settings.admin_api_key is None
