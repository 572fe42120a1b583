import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convergence_orchestration_tests.cli.api_standin import ApiStandin, refusal
from convergence_orchestration_tests.cli.batch_answers import (
    BATCH_ID,
    a_failure,
    a_refusal,
    accepted,
    status,
)
from convergence_orchestration_tests.cli.conftest import CommandLine

pytestmark = pytest.mark.usefixtures("api")

GOOD = "tenant_id,plan\nacmecorp,SCALE\nglobex,STARTER\n"
WITH_A_BAD_ROW = GOOD + "Initech,STARTER\n"
PATIENCE_SECONDS = 60


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "tenants.csv"
    written.write_text(GOOD)
    return written


def test_a_file_is_imported_and_each_tenant_made(
    convergence: CommandLine, api: ApiStandin, file: Path
) -> None:
    api.answers = [accepted(2), status(done=2)]

    ended = convergence("tenant", "import", str(file))

    assert ended.exit_code == 0
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == ["2 of 2 made", "2 of 2 tenants are made."]
    assert api.sent[0].body == {
        "tenants": [
            {"tenant_id": "acmecorp", "plan": "SCALE"},
            {"tenant_id": "globex", "plan": "STARTER"},
        ]
    }


def test_the_same_command_again_is_the_same_batch_whatever_the_line_ends(
    convergence: CommandLine, api: ApiStandin, file: Path
) -> None:
    api.answers = [accepted(2), status(done=2), accepted(2), status(done=2)]

    convergence("tenant", "import", str(file))
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert convergence("tenant", "import", str(file)).exit_code == 0

    keys = {sent.headers["Idempotency-Key"] for sent in api.sent if sent.method == "POST"}
    assert len(keys) == 1


def test_a_malformed_row_keeps_all_from_being_sent(
    convergence: CommandLine, api: ApiStandin, file: Path
) -> None:
    file.write_text(WITH_A_BAD_ROW)

    ended = convergence("tenant", "import", str(file))

    assert ended.exit_code == 1
    assert ended.stdout.splitlines()[1].split(maxsplit=3) == [
        *("4", "Initech", "invalid_tenant_id", "Write initech: a tenant id has no capitals.")
    ]
    assert ended.stderr == (
        "2 rows are well-formed, 1 are not. Nothing was sent: correct them, or add --skip-invalid.\n"
    )
    assert not api.sent


def test_the_others_are_sent_on_demand_and_the_status_says_that_not_all_are_made(
    convergence: CommandLine, api: ApiStandin, file: Path
) -> None:
    file.write_text(WITH_A_BAD_ROW)
    api.answers = [accepted(2), status(done=2)]

    ended = convergence("tenant", "import", str(file), "--skip-invalid")

    assert ended.exit_code == 1
    assert len(api.sent[0].body["tenants"]) == 2
    assert "Initech" in ended.stdout
    assert "2 of 2 tenants are made, 1 rows are listed above." in ended.stderr


def test_a_file_without_any_good_row_sends_nothing(
    convergence: CommandLine, api: ApiStandin, file: Path
) -> None:
    file.write_text("tenant_id\nInitech\n")

    assert convergence("tenant", "import", str(file), "--skip-invalid").exit_code == 1
    assert not api.sent


@pytest.mark.parametrize(("text", "exit_code", "problems"), [(GOOD, 0, 0), (WITH_A_BAD_ROW, 1, 1)])
def test_a_dry_run_checks_the_file_alone(
    convergence: CommandLine, api: ApiStandin, file: Path, text: str, exit_code: int, problems: int
) -> None:
    file.write_text(text)

    ended = convergence("tenant", "import", str(file), "--dry-run")
    as_json = convergence("tenant", "import", str(file), "--dry-run", "--json")

    assert ended.exit_code == as_json.exit_code == exit_code
    assert "Nothing was sent" in ended.stderr
    answer = json.loads(as_json.stdout)
    assert (answer["rows"], answer["made"], len(answer["problems"])) == (2 + problems, 0, problems)
    assert not api.sent


def test_refused_and_failed_rows_are_a_table(convergence: CommandLine, api: ApiStandin, file: Path) -> None:
    api.answers = [accepted(1, a_refusal(0)), status(failed=1, failures=[a_failure("globex")])]

    ended = convergence("tenant", "import", str(file))

    assert ended.exit_code == 1
    header, refused, failed = ended.stdout.splitlines()
    assert header.split() == ["line", "tenant_id", "code", "problem"]
    assert refused.split(maxsplit=3)[:3] == ["2", "acmecorp", "tenant_exists"]
    assert failed.split(maxsplit=3)[:3] == ["3", "globex", "permission_denied"]
    assert "0 of 2 tenants are made, 2 rows are listed above." in ended.stderr


def test_programs_get_one_answer(convergence: CommandLine, api: ApiStandin, file: Path) -> None:
    api.answers = [accepted(1, a_refusal(0)), status(done=1)]

    ended = convergence("tenant", "import", str(file), "--json")

    assert json.loads(ended.stdout) == {
        "rows": 2,
        "made": 1,
        "open": 0,
        "batches": [BATCH_ID],
        "problems": [
            {
                "line": 2,
                "tenant_id": "acmecorp",
                "code": "tenant_exists",
                "message": "Choose another id: acmecorp is taken.",
            }
        ],
    }


def test_when_the_waiting_ends_first_it_is_told_how_to_look(
    convergence: CommandLine, api: ApiStandin, file: Path
) -> None:
    api.answers = [accepted(2), status(running=1, done=1)]

    ended = convergence("tenant", "import", str(file), "--wait", "0")

    assert ended.exit_code == 1
    assert "1 of 2 tenants are made, 1 are still being made." in ended.stderr
    assert f"convergence tenant batch {BATCH_ID} --follow\n" in ended.stderr


def test_a_refused_batch_says_that_nothing_was_sent(
    convergence: CommandLine, api: ApiStandin, file: Path
) -> None:
    api.answers = [(409, refusal("not_bootstrapped", "Bootstrap first."))]

    ended = convergence("tenant", "import", str(file))

    assert ended.exit_code == 1
    assert "2 rows are not known to have been sent: type the same command again" in ended.stderr
    assert "Bootstrap first." in ended.stderr


def test_a_lost_connection_says_what_to_type(convergence: CommandLine, file: Path) -> None:
    ended = convergence("tenant", "import", str(file), "--api-url", "http://127.0.0.1:9")

    assert ended.exit_code == 1
    assert "type the same command again" in ended.stderr
    assert "Check that the API runs" in ended.stderr


@pytest.mark.parametrize("text", ["tenant_id,plan\n", "tenant_id\n\n \n"])
def test_a_file_without_rows_is_said_so(
    convergence: CommandLine, api: ApiStandin, file: Path, text: str
) -> None:
    file.write_text(text)

    ended = convergence("tenant", "import", str(file))

    assert ended.exit_code == 1
    assert "it has a header and no rows" in ended.stderr
    assert not api.sent


def test_a_file_that_is_not_there_is_wrong_usage(convergence: CommandLine, tmp_path: Path) -> None:
    assert convergence("tenant", "import", "gone.csv").exit_code == 2
    assert convergence("tenant", "import", str(tmp_path)).exit_code == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_the_batch_running_and_says_how_to_look(
    api: ApiStandin, file: Path, number: signal.Signals
) -> None:
    api.answers = [accepted(2), status(running=2)]

    status_told, told = interrupted(api, number, "tenant", "import", str(file))

    assert status_told == 130
    assert f"The batch goes on; to look again: convergence tenant batch {BATCH_ID} --follow" in told
    assert "Traceback" not in told


def test_ctrl_c_ends_only_the_looking_at_a_batch(api: ApiStandin) -> None:
    api.answers = [status(running=2)]

    status_told, told = interrupted(api, signal.SIGINT, "tenant", "batch", BATCH_ID, "--follow")

    assert status_told == 130
    assert "The batch goes on" in told


def interrupted(api: ApiStandin, number: signal.Signals, *words: str) -> tuple[int, str]:
    """`convergence WORDS...`, sent a signal once it looks at a batch."""
    command = [sys.executable, "-m", "convergence_orchestration.cli", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as convergence:
        until = time.monotonic() + PATIENCE_SECONDS
        while not any("tenant-batches" in sent.path for sent in api.sent):
            assert convergence.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        assert convergence.stderr is not None
        line = convergence.stderr.readline()  # it has shown what it saw
        convergence.send_signal(number)
        _, told = convergence.communicate(timeout=PATIENCE_SECONDS)
    return convergence.returncode, line + told
