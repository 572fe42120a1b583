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
