import json
import os
import pty
import select
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from convergence_orchestration.cli.tenant_changes import what_will_happen
from convergence_orchestration_tests.cli.api_standin import ApiStandin, refusal
from convergence_orchestration_tests.cli.conftest import CommandLine

pytestmark = pytest.mark.usefixtures("api")

REQUEST_ID = "req_" + "a2" * 13
PATIENCE_SECONDS = 60
TENANT = {"tenant_id": "acmecorp", "company_name": "ACME", "state": "ACTIVE", "plan": "SCALE"}


def changed(state: str, **more: object) -> dict[str, Any]:
    facts = {"tenant_id": "acmecorp", "state": state, "plan": "SCALE", "request_id": REQUEST_ID}
    return {**facts, "run_id": "1", "run_url": "http://dagster/runs/1", **more}


@pytest.mark.parametrize(
    ("words", "method", "path", "body"),
    [
        (["plan", "acmecorp", "SCALE"], "PUT", "plan", {"plan": "SCALE"}),
        (["suspend", "acmecorp", "--reason", "unpaid"], "POST", "suspend", {"reason": "unpaid"}),
        (["suspend", "acmecorp"], "POST", "suspend", {}),
        (["resume", "acmecorp", "--reason", "paid"], "POST", "resume", {"reason": "paid"}),
    ],
)
def test_a_change_is_one_call(
    convergence: CommandLine, api: ApiStandin, words: list[str], method: str, path: str, body: object
) -> None:
    api.answers = [(200, changed("ACTIVE"))]

    ended = convergence("tenant", *words, "--wait", "7")

    assert ended.exit_code == 0
    assert "state       ACTIVE" in ended.stdout
    (sent,) = api.sent
    assert (sent.method, sent.path) == (method, f"/api/v1/admin/tenants/acmecorp/{path}")
    assert sent.body == body
    assert sent.headers["Prefer"] == "wait=7"


def test_a_change_that_goes_on_is_told_how_to_look_at(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(202, changed("ACTIVE", message="Later."))]

    ended = convergence("tenant", "suspend", "acmecorp")

    assert ended.exit_code == 0
    assert f"convergence tenant request {REQUEST_ID}\n" in ended.stderr


def test_what_is_so_already_is_said_so(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, changed("SUSPENDED", request_id=None, run_id=None, run_url=None))]

    assert "it was so already" in convergence("tenant", "suspend", "acmecorp").stderr
    as_json = convergence("tenant", "suspend", "acmecorp", "--json")
    assert json.loads(as_json.stdout)["run_id"] is None
    assert as_json.stderr == ""


def test_a_change_that_cannot_be_is_the_apis_sentence(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(409, refusal("tenant_deleted", "Choose another tenant: acmecorp was deleted."))]

    ended = convergence("tenant", "resume", "acmecorp")

    assert ended.exit_code == 1
    assert ended.stderr.startswith("Choose another tenant: acmecorp was deleted.\n")


def test_an_unknown_plan_is_wrong_usage(convergence: CommandLine, api: ApiStandin) -> None:
    ended = convergence("tenant", "plan", "acmecorp", "GOLD")

    assert ended.exit_code == 2
    assert "'GOLD' is not one of" in ended.stderr
    assert "'PROFESSIONAL'" in ended.stderr
    assert not api.sent


def test_a_confirmed_tenant_leaves(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, changed("OFFBOARDING", delete_after="2026-11-30T00:00:00Z"))]

    ended = convergence(
        *("tenant", "offboard", "acmecorp", "--confirm", "acmecorp", "--reason", "left us"),
        *("--snapshot", "--retention-days", "7"),
    )

    assert "delete_after  2026-11-30T00:00:00Z" in ended.stdout
    query = "confirm=acmecorp&reason=left+us&retention_days=7&take_snapshot=true"
    assert [(sent.method, sent.path) for sent in api.sent] == [
        ("DELETE", f"/api/v1/admin/tenants/acmecorp?{query}")
    ]


@pytest.mark.parametrize("confirmation", ["AcmeCorp", "globex", "acmecorp ", ""])
def test_a_confirmation_that_differs_changes_nothing(
    convergence: CommandLine, api: ApiStandin, confirmation: str
) -> None:
    ended = convergence("tenant", "offboard", "acmecorp", "--confirm", confirmation)

    assert ended.exit_code == 1
    assert ended.stderr == (
        "Confirm with acmecorp to offboard it: that was another text. Nothing was changed.\n"
    )
    assert not api.sent


def test_without_a_terminal_nobody_is_asked(convergence: CommandLine, api: ApiStandin) -> None:
    ended = convergence("tenant", "offboard", "acmecorp", text="acmecorp\n")

    assert ended.exit_code == 2
    assert "--confirm acmecorp" in ended.stderr
    assert not api.sent


@pytest.mark.parametrize("days", ["-1", "366", "soon"])
def test_a_retention_period_that_there_is_not_is_wrong_usage(
    convergence: CommandLine, api: ApiStandin, days: str
) -> None:
    ended = convergence("tenant", "offboard", "acmecorp", "--confirm", "acmecorp", "--retention-days", days)

    assert ended.exit_code == 2
    assert not api.sent


def test_what_will_happen_names_the_day_and_the_snapshots() -> None:
    day = datetime(2026, 12, 23, 8, tzinfo=UTC)

    plain = "\n".join(what_will_happen(day, take_snapshot=False))
    with_snapshots = "\n".join(what_will_happen(day, take_snapshot=True))

    assert "deleted after 2026-12-23 08:00 UTC" in plain
    assert "keys are revoked" in plain
    assert "snapshots" not in plain
    assert "copied to snapshots" in with_snapshots


@pytest.mark.parametrize(("typed", "status"), [("acmecorp", 0), ("globex", 1), ("", 1)])
def test_on_a_terminal_the_tenants_id_is_asked_for(api: ApiStandin, typed: str, status: int) -> None:
    api.answers = [(200, TENANT), (200, changed("OFFBOARDING"))]

    ended, seen = typed_on_a_terminal(f"{typed}\n", "tenant", "offboard", "acmecorp", "--retention-days", "2")

    assert ended == status, seen
    assert "acmecorp (ACME) is ACTIVE, SCALE." in seen
    assert f"deleted after {datetime.now(UTC) + timedelta(days=2):%Y-%m-}" in seen
    methods = [sent.method for sent in api.sent]
    assert methods == (["GET", "DELETE"] if status == 0 else ["GET"])


def typed_on_a_terminal(text: str, *words: str) -> tuple[int, str]:
    """`convergence WORDS...` on a real terminal where `text` is typed once something is asked."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "convergence_orchestration.cli", *words]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as convergence:
        os.close(theirs)
        seen, is_typed = b"", False
        while block := read_from(ours):
            seen += block
            if not is_typed and b"to go on: " in seen:
                os.write(ours, text.encode())
                is_typed = True
        os.close(ours)
        return convergence.wait(PATIENCE_SECONDS), seen.decode()


def read_from(terminal: int) -> bytes:
    """What was written; nothing once the other side is closed, which Linux reports as an error."""
    ready, _, _ = select.select([terminal], [], [], PATIENCE_SECONDS)
    assert ready, "it says nothing and does not end"
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""
