import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from convergence_orchestration import __version__
from convergence_orchestration.local_platform import record
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.model import AdminKeySource
from convergence_orchestration.local_platform.processes import identity_of
from convergence_orchestration.settings import Environment
from convergence_orchestration_tests.cli.conftest import CommandLine
from convergence_orchestration_tests.local_platform.builders import a_directory, a_record
from convergence_orchestration_tests.local_platform.supervised import running_supervised

HEAVY = ("dagster", "fastapi", "google", "grpc", "pydantic_settings", "httpx", "psutil")


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return a_directory(tmp_path / ".convergence")


def running(directory: DataDirectory, source: AdminKeySource) -> None:
    """A record that looks like that of a running platform: its supervisor is whoever started this test."""
    supervisor = identity_of(os.getppid())
    variables = {"gcp_project_id": "a-project"}
    record.write(directory, a_record(supervisor=supervisor, admin_key_source=source, variables=variables))


def test_the_version_is_told(convergence: CommandLine) -> None:
    assert convergence("--version").stdout == f"{__version__}\n"


def test_help_is_there_without_waiting_for_libraries() -> None:
    code = f"""
import sys
from typer.testing import CliRunner
from convergence_orchestration.cli import app
assert CliRunner().invoke(app, ["up", "--help"]).exit_code == 0
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert ended.stdout == "[]\n"


@pytest.mark.parametrize(
    "words",
    [
        ("admin-key",),
        ("admin-key", "--set"),
        ("gcloud-env",),
        ("tenant", "list"),
        ("tenant", "show", "acmecorp"),
        ("tenant", "create", "acmecorp"),
        ("key", "issue", "acmecorp"),
        ("key", "reveal", "key_1"),
        ("key", "revoke", "key_1"),
        ("release", "list"),
        ("release", "watch", "--seconds", "1"),
        ("release", "pause"),
        ("release", "rollback", "--to", "api-1"),
        ("release", "freeze", "--until", "2030-01-01T00:00:00Z"),
        ("release", "sign", "v1", "on_call", "--name", "ana"),
        ("status",),
    ],
)
def test_where_nothing_runs_each_command_says_so(
    convergence: CommandLine, tmp_path: Path, words: tuple[str]
) -> None:
    ended = convergence(*words, "--data-dir", "elsewhere")

    assert ended.exit_code == 4
    assert ended.stdout == ""
    assert ended.stderr == f"Nothing runs in {tmp_path / 'elsewhere'}: start it with convergence up.\n"


def test_an_environment_is_looked_for_in_its_own_directory(convergence: CommandLine, tmp_path: Path) -> None:
    nothing = f"Nothing runs in {tmp_path / '.convergence-staging'}: start it with convergence up --environment staging.\n"

    for words in (("status",), ("admin-key",), ("admin-key", "list")):
        ended = convergence(*words, "--environment", "staging")
        assert (ended.exit_code, ended.stderr) == (4, nothing)
    assert convergence("suite", "staging").stderr == nothing
    elsewhere = convergence("down", "--environment", "staging", "--data-dir", "elsewhere")
    assert elsewhere.stdout == f"Nothing runs in {tmp_path / 'elsewhere'}.\n"


@pytest.mark.parametrize("command", ["up", "down", "status", "admin-key"])
def test_an_environment_that_there_is_not_is_refused_with_those_that_there_are(
    convergence: CommandLine, command: str
) -> None:
    ended = convergence(command, "--environment", "prod")

    assert ended.exit_code == 2
    for name in Environment:
        assert name in ended.stderr


def test_stopping_where_nothing_runs_is_no_error(convergence: CommandLine, tmp_path: Path) -> None:
    ended = convergence("down")

    assert ended.exit_code == 0
    assert ended.stdout == f"Nothing runs in {tmp_path / '.convergence'}.\n"


def test_the_status_of_nothing_has_all_keys(convergence: CommandLine) -> None:
    ended = convergence("status", "--json")

    assert ended.exit_code == 4
    keys = ["api_url", "dagster_url", "bigquery_url", "local_gcp_address", "data_dir", "healthy", "services"]
    keys.append("instances")
    assert list(json.loads(ended.stdout)) == keys


def test_a_platform_is_stopped_from_anywhere(convergence: CommandLine, tmp_path: Path) -> None:
    with running_supervised(tmp_path / "data") as platform:
        ended = convergence("down", "--data-dir", "data")

        assert ended.exit_code == 0
        assert ended.stdout == f"Stopped the platform in {tmp_path / 'data'}.\n"
        assert ended.stderr == ""
        assert platform.members() == []


def test_what_a_killed_supervisor_left_is_shown_and_ended(convergence: CommandLine, tmp_path: Path) -> None:
    with running_supervised(tmp_path / "data") as platform:
        platform.kill_supervisor()

        status = convergence("status", "--data-dir", "data")
        ended = convergence("down", "--data-dir", "data")

        assert status.exit_code == 1
        assert "no supervisor is left" in status.stdout
        assert "Ended 3 processes that no supervisor looked after." in ended.stderr
        assert platform.members() == []


def test_wrong_settings_are_sentences(convergence: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "none")
    monkeypatch.setenv("GCP_PROJECT_ID", "!")

    ended = convergence("up")

    assert ended.exit_code == 2
    assert [line.split()[0] for line in ended.stderr.splitlines()] == ["GCP_PROJECT_ID", "API_PORT"]


def test_an_administrators_key_that_cannot_be_one_stops_the_start(
    convergence: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMIN_API_KEY", "cvgadm_dev_mistyped")

    ended = convergence("up")

    assert ended.exit_code == 2
    assert "ADMIN_API_KEY is mistyped" in ended.stderr
    assert "cvgadm_dev_mistyped" not in ended.stderr


def test_a_base_port_without_room_is_a_wrong_setting(convergence: CommandLine) -> None:
    ended = convergence("up", "--base-port", "65535")

    assert ended.exit_code == 2
    assert "between 1 and 65527" in ended.stderr


def test_a_key_of_the_environment_is_known_to_the_environment_alone(
    convergence: CommandLine, directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(directory, AdminKeySource.ENVIRONMENT)

    assert "Set ADMIN_API_KEY" in convergence("admin-key").stderr
    assert "Start the platform without ADMIN_API_KEY" in convergence("admin-key", "--set", text="x\n").stderr
    monkeypatch.setenv("ADMIN_API_KEY", "the key of the environment")
    assert convergence("admin-key").stdout == "the key of the environment\n"


def test_gcloud_is_turned_to_the_platform(convergence: CommandLine, directory: DataDirectory) -> None:
    running(directory, AdminKeySource.SECRET_MANAGER)

    lines = convergence("gcloud-env").stdout.splitlines()

    assert "export CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS=http://127.0.0.1:8004/" in lines
    assert "export CLOUDSDK_CORE_PROJECT=a-project" in lines


def test_the_story_wants_a_fresh_directory(convergence: CommandLine, directory: DataDirectory) -> None:
    record.write(directory, a_record())

    ended = convergence("demo", "--data-dir", str(directory.path))

    assert ended.exit_code == 1
    assert "needs a fresh one" in ended.stderr


def test_a_story_that_cannot_be_told_keeps_what_was_written(convergence: CommandLine, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ended = convergence("demo", "--data-dir", "told", "--base-port", str(port))

    assert ended.exit_code == 1
    assert f"Port {port} for the API is in use" in ended.stderr
    assert f"What was written until then is in {tmp_path / 'told'}." in ended.stderr
    assert (tmp_path / "told" / "logs").is_dir()
