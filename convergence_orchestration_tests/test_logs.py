import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from convergence_orchestration import logs
from convergence_orchestration.settings import load_settings


class Lines:
    """The lines logged so far, parsed."""

    def __init__(self, stream: io.StringIO) -> None:
        self.stream = stream

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root, ours = logging.getLogger(), logging.getLogger("convergence_orchestration")
    before = (root.handlers, root.level, ours.level)
    logs.configure(load_settings(_env_file=None))
    yield Lines(stream)
    root.handlers = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
    structlog.reset_defaults()


def test_a_line_starts_with_the_guides_fields(lines: Lines) -> None:
    logs.logger("convergence_orchestration.api").info("Request completed", method="POST", status_code=200)

    (line,) = lines.read()
    assert list(line) == ["timestamp", "severity", "name", "msg", "method", "status_code"]
    assert line["severity"] == "INFO"
    assert line["name"] == "convergence_orchestration.api"
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "field", ["created", "args", "msg", "name", "module", "levelname", "level", "exc_text", "timestamp"]
)
def test_no_field_clashes_whatever_it_is_called(lines: Lines, field: str) -> None:
    """The guide's third problem: `Attempt to overwrite 'created' in LogRecord`."""
    logs.logger("convergence_orchestration.warehouse").info("Bootstrapped", **{field: "the field's value"})

    (line,) = lines.read()
    assert line["msg"] == "Bootstrapped"
    assert line["name"] == "convergence_orchestration.warehouse"
    assert "the field's value" in line.values()


def test_other_libraries_log_in_the_same_format(lines: Lines) -> None:
    logging.getLogger("urllib3").warning("retrying %s", "once", extra={"attempt": 2})

    (line,) = lines.read()
    assert (line["severity"], line["name"], line["msg"], line["attempt"]) == (
        "WARNING",
        "urllib3",
        "retrying once",
        2,
    )


def test_other_libraries_do_not_log_below_info(lines: Lines) -> None:
    logging.getLogger("urllib3").debug("GET /?key=secret")
    logs.logger("convergence_orchestration.x").debug("shown")

    assert [line["msg"] for line in lines.read()] == ["shown"]


def test_a_secret_is_never_shown(lines: Lines) -> None:
    logs.logger("convergence_orchestration.keys").info(
        "Issued", api_key=SecretStr("cvg_dev_secret"), other=object()
    )

    assert "cvg_dev_secret" not in lines.stream.getvalue()


def test_an_exception_is_one_line(lines: Lines) -> None:
    try:
        int("no")
    except ValueError:
        logs.logger("convergence_orchestration.x").exception("Failed")

    (line,) = lines.read()
    assert "ValueError: invalid literal" in line["exception"]


def test_a_command_which_configures_no_logs_has_its_standard_output_for_itself() -> None:
    command = "from convergence_orchestration.logs import logger; logger('cli').warning('Something to know', code=7)"
    ended = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert ended.stdout == ""
    assert "Something to know" in ended.stderr
