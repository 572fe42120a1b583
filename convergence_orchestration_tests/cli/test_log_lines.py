import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.cloud.run_v2 import Revision

from convergence_orchestration.local_gcp.store import Store
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration_tests.cli.conftest import CommandLine
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.local_platform.builders import a_directory

API_REVISION = "convergence-api-dev-one-abc"
SERVICE = "projects/a-project/locations/us-central1/services/convergence-api-dev"


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return a_directory(tmp_path / ".convergence")


def a_line(second: int, message: str, severity: str = "INFO", **fields: object) -> str:
    at = f"2026-11-23T12:00:{second:02d}.000000Z"
    line = {"timestamp": at, "severity": severity, "name": "n", "msg": message, **fields}
    return json.dumps(line) + "\n"


def text(second: int, source: str, rest: str, severity: str = "INFO") -> str:
    return f"11-23 12:00:{second:02d}.000 {severity:<8} {source:>11} | {rest}\n"


def test_lines_of_a_stopped_platform_are_shown_by_time(
    convergence: CommandLine, directory: DataDirectory
) -> None:
    directory.log_of("api").write_text(a_line(1, "one") + a_line(3, "three", tenant_id="acme"))
    directory.log_of("daemon").write_text(a_line(2, "two", "WARNING", count=2, why="two words"))

    shown = convergence("logs")

    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout == (
        text(1, "api", "one")
        + text(2, "daemon", 'two  count=2  why="two words"', "WARNING")
        + text(3, "api", "three  tenant_id=acme")
    )
    assert convergence("logs", "-n", "1").stdout == text(3, "api", "three  tenant_id=acme")
    assert convergence("logs", "daemon", "--severity", "warning").stdout.count("\n") == 1
    assert convergence("logs", "--tenant", "acme").stdout == text(3, "api", "three  tenant_id=acme")


def test_json_is_for_programs(convergence: CommandLine, directory: DataDirectory) -> None:
    directory.log_of("api").write_text(a_line(1, "one", status_code=200))

    assert json.loads(convergence("logs", "api", "--json").stdout) == {
        "timestamp": "2026-11-23T12:00:01Z",
        "severity": "INFO",
        "source": "api",
        "msg": "one",
        "name": "n",
        "status_code": 200,
    }


def test_the_logs_of_the_api_are_those_of_its_revisions_too(
    convergence: CommandLine, directory: DataDirectory
) -> None:
    directory.log_of("api").write_text(a_line(1, "deployed"))
    directory.log_of("node").write_text(a_line(1, "of the node"))
    of_instances = directory.local_gcp / "instance-logs"
    of_instances.mkdir()
    (of_instances / f"{API_REVISION}.log").write_text(a_line(2, "started"))
    store = Store(directory.local_gcp)
    with store.writing() as rows:
        name = f"{SERVICE}/revisions/{API_REVISION}"
        rows.insert(name, SERVICE, Revision(name=name, service="convergence-api-dev"))
    store.close()

    started = text(2, API_REVISION, "started")
    assert convergence("logs", "api").stdout == text(1, "api", "deployed") + started
    assert convergence("logs", API_REVISION).stdout == started
    assert convergence("logs", "--revision", API_REVISION).stdout == started


def test_an_exception_stands_below_its_line(convergence: CommandLine, directory: DataDirectory) -> None:
    directory.log_of("api").write_text(a_line(1, "Failed", "ERROR", exception="Traceback\nValueError"))

    shown = convergence("logs").stdout

    assert shown == text(1, "api", "Failed\n    Traceback\n    ValueError", "ERROR")


def test_logs_that_are_not_there_are_said_so(convergence: CommandLine, directory: DataDirectory) -> None:
    assert "there are no logs yet" in convergence("logs").stderr
    directory.log_of("api").touch()

    ended = convergence("logs", "web")

    assert ended.exit_code == 0
    assert ended.stderr == "No line fits. There are logs of api.\n"
    assert convergence("logs", "--since", "yesterday").exit_code == 2


def test_logs_are_followed_until_ctrl_c(directory: DataDirectory) -> None:
    log = directory.log_of("api")
    log.write_text(a_line(1, "old"))
    command = [sys.executable, "-m", "convergence_orchestration.cli", "logs", "api", "-f"]
    with subprocess.Popen(
        [*command, "--data-dir", str(directory.path)], stdout=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        assert "old" in following.stdout.readline()
        with log.open("a") as file:
            file.write(a_line(2, "new"))
        assert "new" in following.stdout.readline()
        following.send_signal(signal.SIGINT)
    assert following.returncode == 130


def test_google_cloud_is_asked_where_the_settings_say(
    convergence: CommandLine, local_gcp: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGGING_EMULATOR_HOST", local_gcp.grpc_address)

    assert convergence("logs", "--google-cloud", "--tenant", "nobody").stderr == "No line fits.\n"


def test_values_are_printed_as_they_were_logged(convergence: CommandLine, directory: DataDirectory) -> None:
    fields: dict[str, Any] = {"a": {"b": [1, 2.5, {"c": None}]}, "empty": "", "yes": True}
    directory.log_of("api").write_text(a_line(1, "all", **fields))

    assert convergence("logs").stdout == text(
        1, "api", 'all  a={"b": [1, 2.5, {"c": null}]}  empty=""  yes=true'
    )
    assert json.loads(convergence("logs", "--json").stdout).items() >= fields.items()
