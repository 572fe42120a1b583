import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from convergence_orchestration import logs
from convergence_orchestration.settings import load_settings
from convergence_orchestration_tests.log_setup import logs_set_back


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
    monkeypatch.setattr(logs, "_carried", {})
    with logs_set_back():
        logs.configure(load_settings(_env_file=None))
        yield Lines(stream)


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


RECORD_ATTRIBUTES = sorted({*vars(logging.makeLogRecord({})), "message", "asctime"})


def test_a_record_may_carry_extras_called_like_any_of_its_attributes(lines: Lines) -> None:
    logs.logger("convergence_orchestration.x").info("All at once", **dict.fromkeys(RECORD_ATTRIBUTES, "kept"))

    (line,) = lines.read()
    assert line["msg"] == "All at once"
    kept = {name.rstrip("_") for name, value in line.items() if value == "kept"}
    assert kept >= set(RECORD_ATTRIBUTES) - {"exc_info", "stack_info"}


def test_what_is_carried_is_in_every_line_but_never_in_place_of_its_own(lines: Lines) -> None:
    logs.carry(run_id="run-1", tenant_id="acme")
    thread = threading.Thread(target=lambda: logging.getLogger("urllib3").warning("from a thread"))
    thread.start()
    thread.join()
    logs.logger("convergence_orchestration.x").info("own", tenant_id="initech")
    logs.carry(run_id=None)
    logs.logger("convergence_orchestration.x").info("later")

    first, second, third = lines.read()
    assert (first["run_id"], first["tenant_id"]) == ("run-1", "acme")
    assert second["tenant_id"] == "initech"
    assert "run_id" not in third


def test_dagsters_records_say_their_run_and_step_and_not_all_that_dagster_stores(lines: Lines) -> None:
    about = {
        "run_id": "run-1",
        "job_name": "bootstrap",
        "step_key": "make",
        "orig_message": "Made.",
        "job_tags": {},
    }
    logging.getLogger("dagster.run").info(
        "bootstrap - run-1 - make - Made.", extra={"dagster_meta": about, "dagster_event": object()}
    )

    (line,) = lines.read()
    assert line["msg"] == "Made."
    assert (line["run_id"], line["job"], line["step"]) == ("run-1", "bootstrap", "make")
    assert set(line) == {"timestamp", "severity", "name", "msg", "run_id", "job", "step"}


def test_warnings_and_what_ends_a_process_or_a_thread_are_lines(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("mind this", stacklevel=1)
    error = ValueError("the end")
    sys.excepthook(ValueError, error, None)
    thread = threading.Thread(target=lambda: int("nothing"), name="a-thread")
    thread.start()
    thread.join()

    warned, ended, of_thread = lines.read()
    assert (warned["severity"], warned["name"]) == ("WARNING", "py.warnings")
    assert ended["severity"] == "CRITICAL"
    assert "ValueError: the end" in ended["exception"]
    assert (of_thread["thread"], of_thread["severity"]) == ("a-thread", "ERROR")
