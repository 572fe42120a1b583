import json

import pytest

from convergence_orchestration_tests.cli.api_standin import ApiStandin, refusal
from convergence_orchestration_tests.cli.conftest import CommandLine

KEY = "cvg_dev_not_really"
DELIVERED = {
    "api_key": KEY,
    "key_id": "key_1",
    "tenant_id": "acmecorp",
    "scopes": ["read", "write"],
    "expires_at": None,
}


pytestmark = pytest.mark.usefixtures("api")


def test_an_issued_key_is_alone_on_standard_output(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, DELIVERED)]

    ended = convergence("key", "issue", "acmecorp", "--description", "nightly")

    assert ended.exit_code == 0
    assert ended.stdout == f"{KEY}\n"
    assert KEY not in ended.stderr
    assert "key_id      key_1" in ended.stderr
    assert api.sent[0].body == {"tenant_id": "acmecorp", "description": "nightly"}


def test_scopes_and_expiry_are_asked_for(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, DELIVERED)]

    ended = convergence(
        *("key", "issue", "acmecorp", "--json", "--expires-at", "2027-01-01T00:00:00Z"),
        *("--scope", "read", "--scope", "write"),
    )

    assert json.loads(ended.stdout) == DELIVERED
    assert api.sent[0].body["scopes"] == ["read", "write"]
    assert api.sent[0].body["expires_at"] == "2027-01-01T00:00:00Z"


def test_a_key_whose_run_goes_on_is_told_how_to_fetch(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(202, {"key_id": "key_1", "run_url": "http://dagster/runs/1"})]

    ended = convergence("key", "issue", "acmecorp", "--wait", "0")

    assert ended.exit_code == 1
    assert ended.stdout == ""
    assert "convergence key reveal key_1" in ended.stderr


def test_a_key_is_revealed(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, DELIVERED)]

    assert convergence("key", "reveal", "key_1").stdout == f"{KEY}\n"
    assert (api.sent[0].method, api.sent[0].path) == ("POST", "/api/v1/admin/api-keys/key_1/reveal")


def test_a_key_is_revoked_with_its_reason(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, {"key_id": "key_1", "revoked_at": "2026-11-23T00:00:00Z"})]

    assert "revoked_at" in convergence("key", "revoke", "key_1", "--reason", "lost it").stdout
    assert convergence("key", "revoke", "key_1").exit_code == 0
    assert [(sent.method, sent.path) for sent in api.sent] == [
        ("DELETE", "/api/v1/admin/api-keys/key_1?reason=lost+it"),
        ("DELETE", "/api/v1/admin/api-keys/key_1"),
    ]


def test_a_second_reveal_is_refused(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(409, refusal("key_already_delivered", "Issue another key: it was handed over."))]

    ended = convergence("key", "reveal", "key_1")

    assert ended.exit_code == 1
    assert ended.stdout == ""


ROTATED = {**DELIVERED, "old_key_id": "key_0", "old_key_ends_at": "2026-11-24T00:00:00Z"}


@pytest.mark.parametrize(
    ("grace", "seconds"), [("0", 0), ("90s", 90), ("30m", 1800), ("24h", 86_400), ("7d", 604_800)]
)
def test_a_rotated_keys_successor_is_alone_on_standard_output(
    convergence: CommandLine, api: ApiStandin, grace: str, seconds: int
) -> None:
    api.answers = [(200, ROTATED)]

    ended = convergence("key", "rotate", "key_0", "--grace", grace)

    assert ended.stdout == f"{KEY}\n"
    assert "2026-11-24T00:00:00Z" in ended.stderr
    (sent,) = api.sent
    assert (sent.path, sent.body) == ("/api/v1/admin/api-keys/key_0/rotate", {"grace_seconds": seconds})


def test_a_rotation_asks_for_what_is_named(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(202, {"key_id": "key_1", "run_url": "http://dagster/runs/1"})]

    ended = convergence(
        *("key", "rotate", "key_0", "--description", "", "--scope", "usage:read"),
        *("--expires-at", "2027-01-01T00:00:00Z", "--idempotency-key", "one"),
    )

    assert (ended.exit_code, ended.stdout) == (1, "")
    (sent,) = api.sent
    assert sent.headers["Idempotency-Key"] == "one"
    assert sent.body == {
        "grace_seconds": 86_400,
        "description": "",
        "scopes": ["usage:read"],
        "expires_at": "2027-01-01T00:00:00Z",
    }


@pytest.mark.parametrize("grace", ["", "-1", "soon", "1w", "h", "1.5h", "\u0663"])
def test_a_time_of_grace_that_is_none_is_wrong_usage(
    convergence: CommandLine, api: ApiStandin, grace: str
) -> None:
    ended = convergence("key", "rotate", "key_0", f"--grace={grace}")

    assert ended.exit_code == 2
    assert "for example 24h" in ended.stderr
    assert api.sent == []


def test_all_keys_of_a_tenant_are_revoked(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, {"tenant_id": "acmecorp", "revoked": ["key_1", "key_2"]})]

    ended = convergence("key", "revoke-all", "acmecorp", "--reason", "breach")

    assert "key_1, key_2" in ended.stdout
    assert (api.sent[0].method, api.sent[0].path) == (
        "DELETE",
        "/api/v1/admin/tenants/acmecorp/api-keys?reason=breach",
    )


def test_keys_are_listed_as_a_table_with_the_line_for_the_next_page(
    convergence: CommandLine, api: ApiStandin
) -> None:
    listed = {
        "key_id": "key_1",
        "tenant_id": "acmecorp",
        "state": "ACTIVE",
        "scopes": ["usage:read"],
        "issued_at": "2026-11-23T08:00:00.12Z",
        "ends_at": None,
        "description": "nightly",
    }
    api.answers = [(200, {"keys": [listed], "next_before": "abc"})]

    ended = convergence("key", "list", "--tenant", "acmecorp", "--state", "active", "--limit", "1")

    assert "key_1" in ended.stdout
    assert "2026-11-23 08:00:00" in ended.stdout
    assert (
        "convergence key list --tenant acmecorp --state ACTIVE --before abc --limit 1, or --all"
        in ended.stderr
    )
    assert api.sent[0].path == "/api/v1/admin/api-keys?limit=1&tenant_id=acmecorp&state=ACTIVE"
    assert json.loads(convergence("key", "list", "--limit", "1", "--json").stdout) == [listed]


def test_no_keys_say_so(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, {"keys": [], "next_before": None})]

    assert "convergence key issue TENANT_ID makes one" in convergence("key", "list").stderr
    assert "No key is like that" in convergence("key", "list", "--tenant", "acmecorp").stderr


def test_a_key_is_shown(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, {"key_id": "key_1", "state": "ROTATING", "successor_key_id": "key_2"})]

    assert "key_2" in convergence("key", "show", "key_1").stdout
    assert api.sent[0].path == "/api/v1/admin/api-keys/key_1"
