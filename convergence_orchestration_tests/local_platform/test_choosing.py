from pathlib import Path

import pytest
from pydantic import SecretStr

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.local_platform import record
from convergence_orchestration.local_platform.choosing import settings_to_start
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.start import start
from convergence_orchestration.settings import Environment
from convergence_orchestration_tests.emulators import free_port
from convergence_orchestration_tests.local_platform.builders import a_directory, a_record


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataDirectory:
    monkeypatch.chdir(tmp_path)  # no .env of the developer's
    return a_directory(tmp_path / "data")


@pytest.fixture
def of_staging(directory: DataDirectory) -> DataDirectory:
    """A directory in which staging ran."""
    record.write(directory, a_record(variables={"environment": "staging"}))
    return directory


def test_a_start_is_developments_unless_something_says_else(
    directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings_to_start(directory, None).environment is Environment.DEVELOPMENT
    assert settings_to_start(directory, "production").environment is Environment.PRODUCTION
    monkeypatch.setenv("ENVIRONMENT", "staging")
    assert settings_to_start(directory, None).environment is Environment.STAGING
    assert settings_to_start(directory, "development").environment is Environment.DEVELOPMENT


def test_the_next_start_in_a_directory_is_as_the_last_one(of_staging: DataDirectory) -> None:
    assert settings_to_start(of_staging, None).environment is Environment.STAGING


def test_what_is_named_beside_environment_is_not_the_other_environments(
    directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("KMS_KEYRING", "convergence-keyring-dev")

    staging = settings_to_start(directory, "staging")

    assert staging.key_ring == "convergence-keyring-staging"
    assert staging.admin_secret_id == "admin-api-key-staging"


def test_what_is_named_without_environment_is_meant_for_what_is_asked_for(
    directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMS_KEYRING", "a-ring-of-staging")

    assert settings_to_start(directory, "staging").key_ring == "a-ring-of-staging"


@pytest.mark.parametrize("named", [{}, {"ENVIRONMENT": "development"}])
@pytest.mark.parametrize("environment", ["staging", "production"])
def test_callers_without_a_key_are_for_development_alone(
    directory: DataDirectory, monkeypatch: pytest.MonkeyPatch, environment: str, named: dict[str, str]
) -> None:
    for name, value in {"DISABLE_AUTH": "true", **named}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(PermanentError, match="DISABLE_AUTH=true is honoured in development alone") as refused:
        settings_to_start(directory, environment)
    assert refused.value.code is ErrorCode.INVALID_SETTINGS


@pytest.mark.parametrize("named", [{}, {"ENVIRONMENT": "development"}])
def test_an_administrators_key_of_another_environment_is_refused_and_not_passed_over(
    directory: DataDirectory, monkeypatch: pytest.MonkeyPatch, named: dict[str, str]
) -> None:
    for name, value in {"ADMIN_API_KEY": "cvgadm_dev_" + "0" * 49, **named}.items():
        monkeypatch.setenv(name, value)

    settings = settings_to_start(directory, "staging")

    assert settings.admin_api_key == SecretStr("cvgadm_dev_" + "0" * 49)
    with pytest.raises(PermanentError, match="of another environment than staging"):
        start(directory, settings, free_port())


def test_one_directory_holds_one_environment(of_staging: DataDirectory) -> None:
    with pytest.raises(PermanentError, match="holds the platform of staging") as refused:
        start(of_staging, settings_to_start(of_staging, "development"), free_port())

    assert "--environment staging" in refused.value.message
    assert not of_staging.is_locked()
