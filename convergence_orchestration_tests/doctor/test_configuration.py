import pytest

from convergence_orchestration.doctor.configuration import configuration, unreadable
from convergence_orchestration.doctor.model import State
from convergence_orchestration.settings import load_settings

EMULATORS = dict.fromkeys(
    (
        "kms_emulator_host",
        "secret_manager_emulator_host",
        "run_emulator_host",
        "build_emulator_host",
        "monitoring_emulator_host",
        "logging_emulator_host",
    ),
    "127.0.0.1:1",
) | {"bigquery_emulator_host": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    "given",
    [
        {},
        EMULATORS,
        {
            "environment": "production",
            "log_level": "INFO",
            "rate_limit_storage_url": "redis://redis:6379",
            "dagster_url": "http://dagster:80",
        },
    ],
)
def test_settings_that_fit_together_are_said_to(given: dict[str, object]) -> None:
    (finding,) = configuration(load_settings(_env_file=None, **given))

    assert finding.state is State.OK


@pytest.mark.parametrize(
    ("given", "subject", "cure"),
    [
        ({"kms_emulator_host": "127.0.0.1:1"}, "BIGQUERY_EMULATOR_HOST", "unset BIGQUERY_EMULATOR_HOST"),
        ({**EMULATORS, "environment": "production"}, "ENVIRONMENT", "export ENVIRONMENT=development"),
        (
            {"environment": "staging", "kms_keyring": "convergence-keyring-prod"},
            "KMS_KEYRING",
            "export KMS_KEYRING=convergence-keyring-staging",
        ),
        (
            {"service_account": "convergence-api-prod@p-project.iam.gserviceaccount.com"},
            "SERVICE_ACCOUNT",
            "unset SERVICE_ACCOUNT",
        ),
        (
            {"key_index_refresh_seconds": 20},
            "KEY_INDEX_MAX_AGE_SECONDS",
            "export KEY_INDEX_MAX_AGE_SECONDS=100",
        ),
        (
            {"tenant_index_max_age_seconds": 6},
            "TENANT_INDEX_MAX_AGE_SECONDS",
            "TENANT_INDEX_MAX_AGE_SECONDS=30",
        ),
        ({"tenant_requests_per_hour": 50}, "TENANT_REQUESTS_PER_HOUR", "TENANT_REQUESTS_PER_HOUR=6000"),
        ({"environment": "staging"}, "RATE_LIMIT_STORAGE_URL", "redis://HOST:6379"),
        ({"admin_key_overlap_hours": 720, "admin_key_rotation_days": 30}, "ADMIN_KEY_OVERLAP_HOURS", "=24"),
        (
            {"environment": "staging", "admin_api_key": "cvgadm_staging_made_up_0123456789"},
            "ADMIN_API_KEY",
            "unset ADMIN_API_KEY",
        ),
        ({"environment": "production"}, "DAGSTER_URL", "export DAGSTER_URL="),
        ({"environment": "production"}, "LOG_LEVEL", "export LOG_LEVEL=INFO"),
        ({"disable_auth": True}, "DISABLE_AUTH", "unset DISABLE_AUTH"),
    ],
)
def test_each_contradiction_names_its_variable_and_what_to_write(
    given: dict[str, object], subject: str, cure: str
) -> None:
    found = {finding.subject: finding for finding in configuration(load_settings(_env_file=None, **given))}

    finding = next(finding for name, finding in found.items() if name.startswith(subject))
    assert finding.state is State.PROBLEM
    assert cure in finding.cure
    assert "made_up" not in str(found)


def test_auth_may_be_off_on_loopback() -> None:
    settings = load_settings(_env_file=None, disable_auth=True, api_host="127.0.0.1")

    assert [finding.state for finding in configuration(settings)] == [State.OK]


def test_settings_that_cannot_be_read_are_a_finding_too() -> None:
    finding = unreadable("API_PORT is wrong: ...\nLOG_LEVEL is wrong: ...")

    assert (finding.state, finding.subject) == (State.PROBLEM, "API_PORT, LOG_LEVEL")
