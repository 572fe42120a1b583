import os
import subprocess
import sys

import pytest


def started(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "convergence_orchestration.launching.dagster_process", *words]
    return subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("words", [(), ("reporter",)])
def test_only_dagsters_own_processes_can_be_named(words: tuple[str, ...]) -> None:
    ended = started(*words)

    assert ended.returncode == 1
    assert "Name one of code_server, webserver, daemon." in ended.stderr


def test_wrong_settings_end_it_with_a_sentence() -> None:
    ended = started("daemon", LOG_LEVEL="LOUD")

    assert ended.returncode == 2
    assert ended.stderr.startswith("LOG_LEVEL is wrong")


@pytest.mark.parametrize("process", ["code_server", "webserver", "daemon"])
def test_each_has_the_options_of_dagsters_own_command(process: str) -> None:
    ended = started(process, "--help")

    assert ended.returncode == 0, ended.stderr
    assert "--log-level" in ended.stdout or "--dagster-log-level" in ended.stdout
