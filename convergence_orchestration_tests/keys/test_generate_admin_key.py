"""`scripts/generate_admin_key.py` as the guide's users run it: a process of its own."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from convergence_orchestration.gcp.clients import secret_manager_client
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys import admin
from convergence_orchestration.keys.token import ADMIN_KEY_PATTERN, KeyKind, is_well_formed
from convergence_orchestration.settings import Environment, Settings

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "generate_admin_key.py"


def run(
    *arguments: str, answer: str | None = None, python: tuple[str, ...] = (sys.executable,), **variables: str
) -> subprocess.CompletedProcess[str]:
    """The script's end; with an `answer` it is run at a terminal where a person types that."""
    environment = {**os.environ, **variables, "PYTHONWARNINGS": ""}
    command = [*python, str(SCRIPT), *arguments]
    if answer is None:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            cwd=ROOT,
            check=False,
        )
    keyboard, terminal = pty.openpty()
    try:
        os.write(keyboard, answer.encode())
        return subprocess.run(
            command, stdin=terminal, capture_output=True, text=True, env=environment, cwd=ROOT, check=False
        )
    finally:
        os.close(keyboard)
        os.close(terminal)


def test_without_a_prompt_it_prints_a_key_and_nothing_else() -> None:
    ended = run("--no-prompt")
    assert ended.returncode == 0
    assert is_well_formed(ended.stdout.rstrip("\n"), Environment.DEVELOPMENT, KeyKind.ADMIN)
    assert ended.stderr == ""


def test_the_environment_is_the_settings_unless_it_is_named() -> None:
    by_variable = run("--no-prompt", ENVIRONMENT="production").stdout.strip()
    by_option = run("--no-prompt", "--environment", "staging", ENVIRONMENT="production").stdout.strip()
    assert is_well_formed(by_variable, Environment.PRODUCTION, KeyKind.ADMIN)
    assert is_well_formed(by_option, Environment.STAGING, KeyKind.ADMIN)


def test_with_nobody_to_ask_it_explains_and_ends() -> None:
    ended = run()
    assert ended.returncode == 0
    (key,) = set(re.findall(ADMIN_KEY_PATTERN, ended.stdout))
    assert f"export ADMIN_API_KEY='{key}'" in ended.stdout
    assert "y/N" not in ended.stderr


def test_a_person_who_says_no_has_nothing_stored() -> None:
    for answer in ("\n", "n\n", "\x04"):
        ended = run(answer=answer)
        assert ended.returncode == 0
        assert "Not stored." in ended.stdout
        assert "secret admin-api-key-dev of project convergence-local? [y/N]" in ended.stderr


def test_a_person_who_says_yes_has_it_stored_in_secret_manager(settings: Settings) -> None:
    ended = run(
        answer="y\n",
        GCP_PROJECT_ID=settings.gcp_project_id,
        SECRET_MANAGER_EMULATOR_HOST=str(settings.secret_manager_emulator_host),
        BIGQUERY_EMULATOR_HOST=str(settings.bigquery_emulator_host),
    )
    assert ended.returncode == 0, ended.stderr
    (key,) = set(re.findall(ADMIN_KEY_PATTERN, ended.stdout))
    stored = admin.read(settings, Secrets(secret_manager_client(settings), settings.gcp_project_id))
    assert stored.accepts(key)
    assert f"Stored as {stored.source}." in ended.stdout


def test_a_wrong_setting_is_one_sentence() -> None:
    ended = run("--no-prompt", ENVIRONMENT="moon")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("ENVIRONMENT is wrong")
    assert "Traceback" not in ended.stderr


def test_a_python_without_the_package_says_what_to_run() -> None:
    ended = run("--no-prompt", python=(sys.executable, "-S", "-P", "-E"))
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == (
        "Run `make setup` once, then `.venv/bin/python scripts/generate_admin_key.py`: this Python lacks the package.\n"
    )
