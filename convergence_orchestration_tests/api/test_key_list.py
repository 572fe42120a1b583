from datetime import UTC, datetime, timedelta

import pytest

from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn
from convergence_orchestration_tests.api.platform import (
    Api,
    ControlPlane,
    assert_is_error,
)


def test_keys_are_listed_in_pages_the_newest_first_and_never_shown(
    api: Api, control_plane: ControlPlane
) -> None:
    tenant_id = control_plane.tenant()
    keys = [api.known_key(tenant_id, description=str(number)) for number in range(3)]
    path = f"/api-keys?tenant_id={tenant_id}&limit=2"

    first = api.admin("GET", path)
    second = api.admin("GET", f"{path}&before={first.json()['next_before']}")

    found = first.json()["keys"] + second.json()["keys"]
    assert [each["description"] for each in found] == ["2", "1", "0"]
    assert second.json()["next_before"] is None
    for key, shown in zip(reversed(keys), found, strict=True):
        assert shown["key_hash_prefix"] == key["tenant_api_key_hash"][:8]
        assert key["api_key"] not in first.text + second.text
        assert key["tenant_api_key_hash"] not in first.text + second.text


def test_keys_are_filtered_by_the_state_they_are_in_now(api: Api, control_plane: ControlPlane) -> None:
    tenant_id = control_plane.tenant()
    key, revoked = api.known_key(tenant_id), api.known_key(tenant_id)
    api.admin("DELETE", f"/api-keys/{revoked['key_id']}")

    def in_state(state: str) -> list[str]:
        answer = api.admin("GET", f"/api-keys?tenant_id={tenant_id}&state={state}")
        return [each["key_id"] for each in answer.json()["keys"]]

    assert in_state("ACTIVE") == [key["key_id"]]
    assert in_state("REVOKED") == [revoked["key_id"]]
    assert in_state("ROTATING") == in_state("EXPIRED") == []


def test_a_key_shows_the_minute_of_its_last_use_once_that_is_written_down(
    api: Api, control_plane: ControlPlane
) -> None:
    key = api.known_key(control_plane.tenant())
    path = f"/api-keys/{key['key_id']}"
    assert api.admin("GET", path).json()["last_used_at"] is None
    assert api.me(key["api_key"]).status_code == 200
    api.services.usage.append()
    used = datetime.fromisoformat(api.admin("GET", path).json()["last_used_at"])
    assert (used.second, used.microsecond) == (0, 0)
    assert datetime.now(UTC) - used < timedelta(minutes=3)


@pytest.mark.parametrize(
    "query", ["state=GONE", "tenant_id=Acme!", "limit=0", "limit=201", "before=nonsense", "before=w7w="]
)
def test_a_wrong_filter_gets_422(api: Api, query: str) -> None:
    assert_is_error(api.admin("GET", f"/api-keys?{query}"), 422, "invalid_argument")


@pytest.mark.parametrize("key_id", ["key_" + "0" * 20, "0" * 64, "cvg_dev_" + "a" * 49])
def test_looking_at_what_was_not_issued_gets_404(api: Api, key_id: str) -> None:
    answer = api.admin("GET", f"/api-keys/{key_id}")
    assert_is_error(answer, 404, "key_not_found")
    assert key_id not in answer.text


def test_all_keys_of_a_tenant_are_refused_at_once(api: Api, control_plane: ControlPlane) -> None:
    tenant_id = control_plane.tenant()
    keys = [api.known_key(tenant_id) for _ in range(2)]

    answer = api.admin("DELETE", f"/tenants/{tenant_id}/api-keys?reason=breach")

    assert answer.status_code == 200, answer.text
    assert answer.json()["revoked"] == [key["key_id"] for key in keys]
    assert api.dagster.launches[-1].op_config() == {"tenant_id": tenant_id, "reason": "breach"}
    for key in keys:
        assert_is_error(api.me(key["api_key"]), 401, "unauthorized")


def test_revoking_all_past_its_callers_patience_gets_202(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    del dagster.work["revoke_tenant_keys"]
    answer = api.admin("DELETE", f"/tenants/{control_plane.tenant()}/api-keys", Prefer="wait=0")
    assert answer.status_code == 202
    assert answer.headers["Location"] == answer.json()["run_url"]


@pytest.mark.parametrize("tenant_id", ["never_onboarded", "Not-An-Id", "admin"])
def test_revoking_the_keys_of_nobody_gets_404(api: Api, dagster: DagsterStandIn, tenant_id: str) -> None:
    assert_is_error(api.admin("DELETE", f"/tenants/{tenant_id}/api-keys"), 404, "tenant_not_found")
    assert dagster.launches == []
