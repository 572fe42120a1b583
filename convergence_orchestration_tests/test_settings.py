import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.settings import Environment, Settings, load_settings

ROOT = Path(__file__).parent.parent
GUIDE = {
    "GCP_PROJECT_ID",
    "BIGQUERY_LOCATION",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "KMS_PROJECT_ID",
    "KMS_LOCATION",
    "KMS_KEYRING",
    "KMS_KEY",
    "ENVIRONMENT",
    "LOG_LEVEL",
    "API_HOST",
    "API_PORT",
    "ADMIN_API_KEY",
    "DISABLE_AUTH",
}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_every_variable_of_the_guide_is_a_setting() -> None:
    assert {name.upper() for name in Settings.model_fields} >= GUIDE


def test_the_example_file_names_every_setting_and_no_other() -> None:
    named = re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)

    assert sorted(named) == sorted(name.upper() for name in Settings.model_fields)


def test_the_example_file_holds_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    assert load_settings(_env_file=".env.example") == load_settings(_env_file=None)


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("environment", "ring", "secret"),
    [
        ("development", "convergence-keyring-dev", "admin-api-key-dev"),
        ("staging", "convergence-keyring-staging", "admin-api-key-staging"),
        ("production", "convergence-keyring-prod", "admin-api-key-prod"),
    ],
)
def test_key_ring_and_secret_follow_the_environment(environment: str, ring: str, secret: str) -> None:
    settings = load_settings(environment=environment)

    assert (settings.key_ring, settings.admin_secret_id) == (ring, secret)
    assert settings.crypto_key_name == (
        f"projects/convergence-local/locations/us-central1/keyRings/{ring}/cryptoKeys/api-key-encryption"
    )


def test_the_key_may_live_in_a_project_of_its_own() -> None:
    settings = load_settings(kms_project_id="keys-only", kms_keyring="ring")

    assert settings.crypto_key_name.startswith("projects/keys-only/locations/us-central1/keyRings/ring/")


def test_the_env_file_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "GCP_PROJECT_ID=from-the-file\nCORS_ORIGINS=https://a.example, https://b.example\n"
    )

    settings = load_settings()

    assert settings.gcp_project_id == "from-the-file"
    assert settings.cors_origins == ("https://a.example", "https://b.example")


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_API_KEY", "")

    assert load_settings().admin_api_key is None


def test_each_wrong_variable_gets_one_sentence_and_no_value_is_shown() -> None:
    with pytest.raises(PermanentError) as caught:
        load_settings(api_port="many", environment="moon", admin_api_key="hunter2", cors_origins=7)

    lines = caught.value.message.splitlines()
    assert caught.value.code is ErrorCode.INVALID_SETTINGS
    assert sorted(line.split()[0] for line in lines) == [
        "ADMIN_API_KEY",
        "API_PORT",
        "CORS_ORIGINS",
        "ENVIRONMENT",
    ]
    assert "hunter2" not in caught.value.message
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("environment", [Environment.STAGING, Environment.PRODUCTION])
def test_authentication_cannot_be_off_outside_development(environment: Environment) -> None:
    with pytest.raises(PermanentError, match="DISABLE_AUTH=true is honoured in development alone"):
        load_settings(disable_auth=True, environment=environment)


def test_authentication_can_be_off_in_development() -> None:
    assert load_settings(disable_auth=True).disable_auth


def test_the_admin_key_is_hidden_wherever_settings_are_printed() -> None:
    settings = load_settings(admin_api_key="a-very-secret-admin-key")

    assert "a-very-secret-admin-key" not in f"{settings!r}{settings.model_dump_json()}"


@pytest.mark.parametrize(
    "program", ["convergence_orchestration.api", "convergence_orchestration.local_gcp.server"]
)
def test_a_wrong_value_ends_the_start_without_a_traceback(program: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", program, *_needed_arguments(program, tmp_path)],
        env=os.environ | {"LOG_LEVEL": "LOUD", "ADMIN_API_KEY": "hunter2"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert "LOG_LEVEL is wrong" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "hunter2" not in ended.stderr + ended.stdout


def _needed_arguments(program: str, directory: Path) -> list[str]:
    if program.endswith("api"):
        return []
    return ["--data-dir", str(directory), "--grpc-port", "1", "--rest-port", "2"]
