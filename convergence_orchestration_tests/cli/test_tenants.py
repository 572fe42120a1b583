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
        "admin_email": "",
        "description": "",
    }


def test_a_tenant_that_is_still_being_made_is_told_how_to_look_at(
    convergence: CommandLine, api: ApiStandin
) -> None:
    api.answers = [(202, {"tenant_id": "acmecorp", "state": "PROVISIONING"})]

    ended = convergence("tenant", "create", "acmecorp")

    assert ended.exit_code == 0
    assert "convergence tenant show acmecorp" in ended.stderr


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
    ended = convergence("tenant", "list", "--api-url", "http://127.0.0.1:9/")

    assert ended.exit_code == 1
    assert "no answer from http://127.0.0.1:9 (ConnectError)" in ended.stderr


def test_all_pages_of_tenants_are_listed(convergence: CommandLine, api: ApiStandin) -> None:
    pages = [
        (200, {"tenants": [{"tenant_id": "acmecorp", "state": "ACTIVE"}], "next_after": "acmecorp"}),
        (200, {"tenants": [{"tenant_id": "globex", "company_name": "[red]Globex"}], "next_after": None}),
    ]
    api.answers = [*pages, *pages]

    table = convergence("tenant", "list")
    listed = convergence("tenant", "list", "--json")

    assert [line.split()[0] for line in table.stdout.splitlines()] == ["tenant_id", "acmecorp", "globex"]
    assert "[red]Globex" in table.stdout
    assert [tenant["tenant_id"] for tenant in json.loads(listed.stdout)] == ["acmecorp", "globex"]
    assert api.sent[1].path == "/api/v1/admin/tenants?limit=200&after=acmecorp"


def test_no_tenants_at_all_is_said_so(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, {"tenants": [], "next_after": None})]

    ended = convergence("tenant", "list")

    assert ended.exit_code == 0
    assert ended.stdout == ""
    assert "no tenants yet" in ended.stderr


def test_one_tenant_is_shown_whatever_is_in_its_id(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, READY)]

    assert json.loads(convergence("tenant", "show", "../x?y", "--json").stdout) == READY
    assert api.sent[0].path == "/api/v1/admin/tenants/..%2Fx%3Fy"


def test_another_api_needs_its_own_key(
    convergence: CommandLine, api: ApiStandin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ADMIN_API_KEY")

    ended = convergence("tenant", "list")

    assert ended.exit_code == 2
    assert "Set ADMIN_API_KEY" in ended.stderr
    assert not api.sent
