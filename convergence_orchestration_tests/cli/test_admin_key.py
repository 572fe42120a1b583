import os
import subprocess
import sys
from pathlib import Path

import pytest

from convergence_orchestration.audit.log import AuditLog
from convergence_orchestration.audit.model import CLOSED, OPENED
from convergence_orchestration.audit.verification import verify
from convergence_orchestration.cli.audited import operator
from convergence_orchestration.keys.token import generate_admin_key
from convergence_orchestration.settings import Environment, Settings
from convergence_orchestration_tests.cli.conftest import CommandLine
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults
from convergence_orchestration_tests.warehouse.builders import with_tables


@pytest.fixture
def project(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """A Google Cloud project that the environment points at; it is not bootstrapped."""
    monkeypatch.setenv("SECRET_MANAGER_EMULATOR_HOST", str(settings.secret_manager_emulator_host))
    monkeypatch.setenv("KMS_EMULATOR_HOST", str(settings.kms_emulator_host))
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", str(settings.bigquery_emulator_host))
    monkeypatch.setenv("GCP_PROJECT_ID", settings.gcp_project_id)
    monkeypatch.setenv("ENVIRONMENT", "staging")
    monkeypatch.setenv("LOGNAME", "carol")
    return settings.gcp_project_id


@pytest.fixture
def log(settings: Settings, project: str) -> AuditLog:
    """The project's audit log."""
    assert project == settings.gcp_project_id
    return AuditLog(with_tables(settings, "audit_log"))


def told(log: AuditLog) -> list[tuple[str, str, str | None]]:
    rows = list(log.in_order())
    assert verify(rows) == []
    acts = [row for row in rows if row.action not in {OPENED, CLOSED}]
    assert {(row.actor_kind, row.actor, row.environment) for row in acts} <= {
        ("OPERATOR", "cli:carol", "staging")
    }
    return [(row.action, row.outcome, row.target_id) for row in sorted(acts, key=lambda row: row.recorded_at)]


def both(action: str, target: str) -> list[tuple[str, str, str]]:
    return [(action, outcome, target) for outcome in ("ATTEMPTED", "SUCCEEDED")]


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


def test_named_administrators_are_added_rotated_revealed_and_removed_and_the_log_says_so(
    convergence: CommandLine, log: AuditLog
) -> None:
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
    key = "admin-api-key-staging"
    assert told(log) == [
        *both("environment.prepare", "staging"),
        *both("admin_key.add", f"{key}--ann"),
        *both("admin_key.rotate", f"{key}--ann"),
        *both("admin_key.rotate", key),
        *both("admin_key.remove", f"{key}--ann"),
    ]
    assert "cvgadm_" not in str(list(log.in_order()))


@pytest.mark.usefixtures("project")
def test_before_the_bootstrap_an_environment_is_prepared_and_its_key_stored_but_nobody_added(
    convergence: CommandLine,
) -> None:
    key = generate_admin_key(Environment.STAGING).get_secret_value()
    assert convergence("environment", "prepare", GOOGLE).exit_code == 0
    assert convergence("admin-key", GOOGLE, "--set", text=f"{key}\n").exit_code == 0

    refused = convergence("admin-key", "add", "ann", GOOGLE)

    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert "Bootstrap the platform first" in refused.stderr
    assert "ann" not in convergence("admin-key", "list", GOOGLE).stdout


def test_what_cannot_be_recorded_is_not_done_and_its_key_is_not_printed(
    convergence: CommandLine, log: AuditLog, local_bigquery: Emulator
) -> None:
    append = {"method": "POST */tables/audit_log/insertAll", "code": 403}
    with faults(local_bigquery, append):
        unbegun = convergence("admin-key", "add", "ann", GOOGLE)
    absent = convergence("admin-key", "reveal", "ann", GOOGLE)
    with faults(local_bigquery, append | {"body": ["admin_key.add", "versions/1"]}):
        untold = convergence("admin-key", "add", "ann", GOOGLE)

    assert unbegun.exit_code == absent.exit_code == untold.exit_code == 1
    assert "Nothing was done" in unbegun.stderr
    assert "it was done" in untold.stderr
    assert unbegun.stdout == untold.stdout == ""
    assert convergence("admin-key", "reveal", "ann", GOOGLE).stdout.startswith("cvgadm_staging_")
    assert told(log) == [("admin_key.add", "ATTEMPTED", "admin-api-key-staging--ann")]


def test_a_refused_act_is_recorded_with_why(convergence: CommandLine, log: AuditLog) -> None:
    assert convergence("admin-key", "remove", "ann", GOOGLE).exit_code == 1

    (failed,) = (row for row in log.in_order() if row.outcome == "FAILED")
    assert (failed.action, failed.error_code) == ("admin_key.remove", "not_found")


def test_whoever_has_no_name_on_this_machine_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise OSError

    monkeypatch.setattr("getpass.getuser", nameless)
    assert operator() == f"cli:{os.getuid()}"


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
