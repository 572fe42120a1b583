import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from convergence_orchestration_tests.cli.api_standin import ApiStandin, Sent
from convergence_orchestration_tests.cli.conftest import CommandLine

pytestmark = pytest.mark.usefixtures("api")


def page(*tenant_ids: str, next_after: str | None = None) -> tuple[int, dict[str, Any]]:
    tenants = [
        {"tenant_id": each, "state": "ACTIVE", "created_at": "2026-11-23T08:00:00.12Z"} for each in tenant_ids
    ]
    return 200, {"tenants": tenants, "next_after": next_after}


def query(sent: Sent) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(sent.path).query).items()}


def test_no_more_tenants_are_fetched_than_are_shown(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [page("acmecorp", "globex", next_after="globex")]

    ended = convergence("tenant", "list", "--limit", "2", "--state", "active", "--search", "a b")

    assert [line.split()[0] for line in ended.stdout.splitlines()] == ["tenant_id", "acmecorp", "globex"]
    assert "2026-11-23 08:00:00\n" in ended.stdout
    assert (
        "There are more: convergence tenant list --state ACTIVE --search 'a b' --after globex --limit 2, or --all."
        in ended.stderr
    )
    (sent,) = api.sent
    assert query(sent) == {"limit": "2", "state": "ACTIVE", "search": "a b"}


def test_fifty_are_shown_unless_told(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [page("acmecorp")]

    ended = convergence("tenant", "list", "--plan", "SCALE", "--after", "abc")

    assert query(api.sent[0]) == {"limit": "50", "plan": "SCALE", "after": "abc"}
    assert ended.stderr == ""


def test_more_than_a_page_is_asked_for_in_pages(convergence: CommandLine, api: ApiStandin) -> None:
    names = [f"tenant{number:03}" for number in range(250)]
    api.answers = [page(*names[:200], next_after="tenant199"), page(*names[200:], next_after="tenant249")]

    ended = convergence("tenant", "list", "--limit", "250", "--json")

    assert [tenant["tenant_id"] for tenant in json.loads(ended.stdout)] == names
    assert [query(sent) for sent in api.sent] == [{"limit": "200"}, {"limit": "50", "after": "tenant199"}]
    assert "There are more" in ended.stderr


def test_all_pages_are_listed_on_demand(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [page("acmecorp", next_after="acmecorp"), page("globex")]

    ended = convergence("tenant", "list", "--all")

    assert [line.split()[0] for line in ended.stdout.splitlines()] == ["tenant_id", "acmecorp", "globex"]
    assert ended.stderr == ""


def test_what_is_in_a_name_is_no_markup(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [
        (200, {"tenants": [{"tenant_id": "globex", "company_name": "[red]Globex"}], "next_after": None})
    ]

    assert "[red]Globex" in convergence("tenant", "list").stdout


def test_no_tenants_at_all_is_said_so(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [page()]

    ended = convergence("tenant", "list")

    assert (ended.exit_code, ended.stdout) == (0, "")
    assert "no tenants yet" in ended.stderr
    assert convergence("tenant", "list", "--search", "x").stderr == "No tenant is like that.\n"
    assert json.loads(convergence("tenant", "list", "--json").stdout) == []


def test_a_state_that_there_is_not_is_wrong_usage(convergence: CommandLine, api: ApiStandin) -> None:
    assert convergence("tenant", "list", "--state", "GONE").exit_code == 2
    assert not api.sent


def test_another_api_stays_the_one_to_go_on_with(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [page("acmecorp", next_after="acmecorp")]

    ended = convergence("tenant", "list", "--limit", "1", "--api-url", f"{api.url}/")

    assert f"--limit 1 --api-url {api.url}/, or --all" in ended.stderr
