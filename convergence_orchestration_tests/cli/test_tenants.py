import json

import pytest

from convergence_orchestration_tests.cli.api_standin import ApiStandin, refusal
from convergence_orchestration_tests.cli.conftest import ADMIN_KEY, CommandLine

READY = {
    "tenant_id": "acmecorp",
    "state": "ACTIVE",
    "tables_created": ["a", "b"],
    "api_keys_count": 0,
    "run_url": None,
}
REQUEST_ID = "req_" + "a2" * 13


pytestmark = pytest.mark.usefixtures("api")


def test_a_tenant_is_made_by_the_api_with_the_administrators_key(
    convergence: CommandLine, api: ApiStandin
) -> None:
    api.answers = [(200, READY)]

    ended = convergence(
        "tenant", "create", "acmecorp", "--plan", "SCALE", "--company-name", "ACME", "--wait", "5"
    )

    assert ended.exit_code == 0
    assert "state           ACTIVE" in ended.stdout
    assert "tables_created  a, b" in ended.stdout
    assert "run_url" not in ended.stdout
    (sent,) = api.sent
    assert (sent.method, sent.path) == ("POST", "/api/v1/admin/tenants")
    assert sent.headers["X-Admin-Key"] == ADMIN_KEY
    assert sent.headers["Prefer"] == "wait=5"
    assert sent.body == {
        "tenant_id": "acmecorp",
        "plan": "SCALE",
        "company_name": "ACME",
    }
    assert "Idempotency-Key" not in sent.headers


def test_a_principal_and_an_idempotency_key_are_sent_along(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, READY)]

    convergence(
        *("tenant", "create", "acmecorp", "--principal", "user:ada@acme.example"),
        *("--idempotency-key", "crm-4711"),
    )

    assert api.sent[0].body["principal"] == "user:ada@acme.example"
    assert api.sent[0].headers["Idempotency-Key"] == "crm-4711"


def test_a_plan_that_there_is_not_is_wrong_usage(convergence: CommandLine, api: ApiStandin) -> None:
    ended = convergence("tenant", "create", "acmecorp", "--plan", "GOLD")

    assert ended.exit_code == 2
    assert "'GOLD' is not one of" in ended.stderr
    assert "'PROFESSIONAL'" in ended.stderr
    assert not api.sent


def test_a_tenant_that_is_still_being_made_is_told_how_to_look_at(
    convergence: CommandLine, api: ApiStandin
) -> None:
    api.answers = [
        (202, {"tenant_id": "acmecorp", "state": "PROVISIONING", "request_id": REQUEST_ID, "run_id": None})
    ]

    ended = convergence("tenant", "create", "acmecorp")

    assert ended.exit_code == 0
    assert f"convergence tenant request {REQUEST_ID}\n" in ended.stderr


def test_a_refusal_is_the_apis_sentence_with_its_request_id(
    convergence: CommandLine, api: ApiStandin
) -> None:
    api.answers = [(409, refusal("tenant_exists", "Choose another id: acmecorp is taken.", details={}))]

    ended = convergence("tenant", "create", "acmecorp")

    assert ended.exit_code == 1
    assert ended.stdout == ""
    assert ended.stderr == "Choose another id: acmecorp is taken.\n  request id: r-1\n"


def test_a_refusal_names_the_fields_and_the_run(convergence: CommandLine, api: ApiStandin) -> None:
    problems = [{"field": "plan", "message": "is not a plan"}]
    api.answers = [
        (422, refusal("invalid_argument", "Correct the body.", details=problems)),
        (
            503,
            refusal("a code of the future", "Send it again.", details={"run_url": "http://dagster/runs/1"}),
        ),
    ]

    assert "  plan: is not a plan\n" in convergence("tenant", "create", "acmecorp").stderr
    assert "  run: http://dagster/runs/1\n" in convergence("tenant", "create", "acmecorp").stderr


@pytest.mark.parametrize("answer", [(502, "Bad gateway"), (500, {"error": "?"}), (404, []), (200, "<html>")])
def test_an_address_where_something_else_answers_is_said_so(
    convergence: CommandLine, api: ApiStandin, answer: tuple[int, object]
) -> None:
    api.answers = [answer]

    ended = convergence("tenant", "show", "acmecorp")

    assert ended.exit_code == 1
    assert "Check the API's address" in ended.stderr


def test_an_api_that_is_not_there_is_said_so(convergence: CommandLine) -> None:
    ended = convergence("tenant", "show", "acmecorp", "--api-url", "http://127.0.0.1:9/")

    assert ended.exit_code == 1
    assert "no answer from http://127.0.0.1:9 (ConnectError)" in ended.stderr


def test_one_tenant_is_shown_whatever_is_in_its_id(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, READY)]

    assert json.loads(convergence("tenant", "show", "../x?y", "--json").stdout) == READY
    assert api.sent[0].path == "/api/v1/admin/tenants/..%2Fx%3Fy"


def test_a_tenant_on_its_way_out_is_shown_with_why_and_until_when(
    convergence: CommandLine, api: ApiStandin
) -> None:
    facts = {"tenant_id": "acmecorp", "state": "OFFBOARDING", "state_reason": "left us", "principal": ""}
    api.answers = [(200, {**facts, "delete_after": "2026-12-23T08:00:00Z"})]

    ended = convergence("tenant", "show", "acmecorp")

    assert "state_reason  left us" in ended.stdout
    assert "delete_after  2026-12-23T08:00:00Z" in ended.stdout
    assert "principal" not in ended.stdout


def test_another_api_needs_its_own_key(
    convergence: CommandLine, api: ApiStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ADMIN_API_KEY")

    ended = convergence("tenant", "show", "acmecorp")

    assert ended.exit_code == 2
    assert "Set ADMIN_API_KEY" in ended.stderr
    assert not api.sent
