import pytest

from convergence_orchestration.api.audit_actions import (
    ACTIONS,
    Action,
    action_of,
    ids_in_json,
    ids_in_path,
    shown_path,
    target_of,
)
from convergence_orchestration.audit.model import Target

KEY_ID = "key_" + "aB1zzzzzzz" * 2
A_KEY = "cvg_dev_" + "aB1" * 16 + "x"
A_HASH = "0123456789abcdef" * 4


def test_a_route_that_the_table_does_not_have_goes_by_its_own_name() -> None:
    assert action_of("rotate_everything") == Action("rotate_everything")
    assert action_of("create_key") is ACTIONS["create_key"]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/api/v1/admin/tenants:batch", "/api/v1/admin/tenants:batch"),
        ("/api/v1/admin/tenants/acme_corp/plan", "/api/v1/admin/tenants/acme_corp/plan"),
        (f"/api/v1/admin/api-keys/{KEY_ID}/reveal", f"/api/v1/admin/api-keys/{KEY_ID}/reveal"),
        (f"/api/v1/admin/api-keys/{A_KEY}", "/api/v1/admin/api-keys/cvg_..."),
        (f"/api/v1/admin/api-keys/ {A_KEY}", "/api/v1/admin/api-keys/ cvg_dev..."),
        (f"/api/v1/admin/api-keys/{A_KEY[8:]}", "/api/v1/admin/api-keys/aB1aB1aB..."),
        (f"/api/v1/admin/api-keys/{A_HASH}", "/api/v1/admin/api-keys/01234567..."),
        (f"/api/v1/admin/api-keys/{A_HASH.upper()}", "/api/v1/admin/api-keys/01234567..."),
        ("/api/v1/admin/api-keys/admin_of_somebody", "/api/v1/admin/api-keys/admin_..."),
        (f"/api/v1/admin/api-keys/{'a' * 51}", "/api/v1/admin/api-keys/aaaaaaaa..."),
        ("/api/v1/admin/api-keys/" + "Secret..." * 3, "/api/v1/admin/api-keys/Secret....."),
    ],
)
def test_a_path_shows_words_and_ids_and_cuts_what_may_be_a_key(path: str, shown: str) -> None:
    assert shown_path(path) == shown


def test_ids_are_told_by_their_form_alone() -> None:
    assert ids_in_path({"key": KEY_ID, "tenant_id": "acme"}) == {"key_id": KEY_ID, "tenant_id": "acme"}
    assert ids_in_path({"key": A_KEY, "tenant_id": A_HASH, "request_id": 7, "run_id": "x"}) == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"[", b"[1]", b"7", b"\xff", b'{"tenant_id": ["acme"]}', b"[" * 60_000, b" " * 70_000 + b"{}"],
)
def test_what_is_no_object_with_ids_has_none(content: bytes) -> None:
    assert ids_in_json(content) == {}


def test_a_target_is_named_as_far_as_it_is_known() -> None:
    assert target_of(ACTIONS["create_key"], {"key_id": KEY_ID}) == Target("key", KEY_ID)
    assert target_of(ACTIONS["create_key"], {}) == Target("key")
    assert target_of(ACTIONS["bootstrap"], {"tenant_id": "acme"}) == Target("dataset")
    assert target_of(ACTIONS["list_tenants"], {"tenant_id": "acme"}) is None
