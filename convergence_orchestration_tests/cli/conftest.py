import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from convergence_orchestration.cli import app
from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn, played_dagster
from convergence_orchestration_tests.cli.api_standin import ApiStandin, api_standin

ADMIN_KEY = "admin_of_the_stand-in"


class CommandLine:
    """Types `convergence WORDS...` in this process, in an empty directory."""

    def __call__(self, *words: str, text: str | None = None) -> Result:
        return CliRunner().invoke(app, words, input=text)


@pytest.fixture(autouse=True, scope="session")
def _heed_ctrl_c() -> None:
    """Children that are sent SIGINT must heed it, also where the tests run in the background of a script."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def convergence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    monkeypatch.chdir(tmp_path)
    for variable in ("API_URL", "CONVERGENCE_DATA_DIR"):
        monkeypatch.delenv(variable, raising=False)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield CommandLine()
    for number, action in before.items():
        signal.signal(number, action)


@pytest.fixture
def api(convergence: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiStandin]:
    """An API somewhere else, with its address and key in the environment of `convergence`."""
    del convergence  # only so that it has cleared the environment before
    with api_standin() as standin:
        monkeypatch.setenv("API_URL", standin.url)
        monkeypatch.setenv("ADMIN_API_KEY", ADMIN_KEY)
        yield standin


@pytest.fixture
def dagster(convergence: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterStandIn]:
    """A Dagster somewhere else, for commands with --google-cloud."""
    del convergence  # only so that it has cleared the environment before
    with played_dagster() as standin:
        monkeypatch.setenv("DAGSTER_URL", standin.url)
        yield standin
