import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Literal

import pytest

from convergence_orchestration.keys.ledger import KeyEvents
from convergence_orchestration.keys.model import ALL_SCOPES, new_key_id
from convergence_orchestration.keys.sealed_store import SealedKeys
from convergence_orchestration.keys.token import is_well_formed
from convergence_orchestration.settings import Environment
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn
from convergence_orchestration_tests.api.platform import (
    Api,
    ControlPlane,
    assert_is_error,
    new_tenant_id,
)
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults


def keys_of(plane: ControlPlane, tenant_id: str, api: Api) -> int:
    return len(KeyEvents(plane.bigquery).active_for(TenantId(tenant_id), api.clock()))


def test_a_key_is_issued_by_a_run_shown_once_and_accepted_at_once(
    api: Api, control_plane: ControlPlane
) -> None:
    tenant_id = control_plane.tenant()

    answer = api.admin("POST", "/api-keys", {"tenant_id": tenant_id, "description": "nightly"})

    assert answer.status_code == 200, answer.text
    body = answer.json()
    launch = api.dagster.launches[-1]
    assert is_well_formed(body["api_key"], Environment.DEVELOPMENT)
    assert body["tenant_api_key_hash"] == hashlib.sha256(body["api_key"].encode()).hexdigest()
    assert body["tenant_id"] == tenant_id
    assert body["description"] == "nightly"
    assert body["scopes"] == [str(scope) for scope in ALL_SCOPES]
    assert body["expires_at"] is None
    assert (body["run_id"], launch.job) == (launch.run_id, "issue_tenant_key")
    assert answer.headers["Cache-Control"] == "no-store"
    assert body["api_key"] not in str(launch)
    assert api.me(body["api_key"]).json()["tenant_id"] == tenant_id
    assert SealedKeys(control_plane.bigquery).get(body["key_id"]) is None


def test_a_second_key_for_a_tenant_gets_409(api: Api, control_plane: ControlPlane) -> None:
    tenant_id = control_plane.tenant()
    first = api.known_key(tenant_id)
    launched = len(api.dagster.launches)

    error = assert_is_error(api.admin("POST", "/api-keys", {"tenant_id": tenant_id}), 409, "key_exists")

    assert error["details"]["key_id"] == first["key_id"]
    assert len(api.dagster.launches) == launched
    assert keys_of(control_plane, tenant_id, api) == 1


def test_a_second_key_that_only_the_run_sees_gets_409_too(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    tenant_id = control_plane.tenant()

    def another_process_is_faster(launch: Any) -> list[dict[str, Any]]:
        another = replace(
            launch, config={"ops": {"issue_key": {"config": launch.op_config() | {"key_id": new_key_id()}}}}
        )
        control_plane.issue(another)
        return control_plane.issue(launch)

    dagster.work["issue_tenant_key"] = another_process_is_faster

    assert_is_error(api.admin("POST", "/api-keys", {"tenant_id": tenant_id}), 409, "key_exists")


def test_whoever_does_not_care_to_wait_for_a_turn_gets_his_run_at_once(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    tenant_id = control_plane.tenant()
    del dagster.work["issue_tenant_key"]

    def asked(wait: int) -> int:
        answer = api.admin("POST", "/api-keys", {"tenant_id": tenant_id}, Prefer=f"wait={wait}")
        return answer.status_code

    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(asked, 8)
        while not dagster.launches:
            time.sleep(0.05)
        assert asked(0) == 202
        assert not patient.done()
        assert patient.result() == 202
    assert len(dagster.launches) == 2


def test_a_key_for_a_tenant_that_is_not_there_gets_404(api: Api, dagster: DagsterStandIn) -> None:
    answer = api.admin("POST", "/api-keys", {"tenant_id": new_tenant_id()})

    assert_is_error(answer, 404, "tenant_not_found")
    assert dagster.launches == []


def test_a_key_for_a_tenant_that_is_not_active_gets_409(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    tenant_id = control_plane.tenant("SUSPENDED")

    error = assert_is_error(
        api.admin("POST", "/api-keys", {"tenant_id": tenant_id}), 409, "tenant_not_active"
    )

    assert error["details"]["state"] == "SUSPENDED"
    assert dagster.launches == []


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"tenant_id": "Not An Id"}, "invalid_tenant_id", "tenant_id"),
        ({"tenant_id": "admin"}, "reserved_tenant_id", "tenant_id"),
        ({"scopes": ["everything"]}, "invalid_argument", "scopes"),
        ({"scopes": "usage:read"}, "invalid_argument", "scopes"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "invalid_argument", "expires_at"),
        ({"expires_at": "tomorrow"}, "invalid_argument", "expires_at"),
        ({"expires_at": "2099-01-01T00:00:00"}, "invalid_argument", "expires_at"),
        ({"description": "a" * 501}, "invalid_argument", "description"),
        ({"api_key": "cvg_dev_mine"}, "invalid_argument", "api_key"),
    ],
)
def test_a_key_that_is_asked_for_wrongly_gets_422_and_none_is_issued(
    api: Api, dagster: DagsterStandIn, fields: dict[str, Any], code: str, field: str
) -> None:
    answer = api.admin("POST", "/api-keys", {"tenant_id": "acmecorp"} | fields)

    error = assert_is_error(answer, 422, code)
    assert [detail["field"] for detail in error["details"]] == [field]
    assert "cvg_dev_mine" not in answer.text
    assert dagster.launches == []


def test_a_dagster_that_is_down_gets_503_and_no_key(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id = control_plane.tenant()
    dagster.broken = (500, b"")

    answer = api.admin("POST", "/api-keys", {"tenant_id": tenant_id})

    assert_is_error(answer, 503, "dagster_unavailable")
    assert keys_of(control_plane, tenant_id, api) == 0


def test_a_key_past_the_callers_patience_is_revealed_once_afterwards(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id = control_plane.tenant()
    del dagster.work["issue_tenant_key"]
    asked = api.admin("POST", "/api-keys", {"tenant_id": tenant_id}, Prefer="respond-async")
    control_plane.issue(dagster.launches[-1])
    path = asked.headers["Location"].removeprefix("/api/v1/admin")

    first, second = api.admin("POST", path), api.admin("POST", path)

    assert asked.status_code == 202
    assert asked.json()["status"] == "RUNNING"
    assert first.status_code == 200, first.text
    assert first.json()["key_id"] == asked.json()["key_id"]
    assert first.json()["run_id"] is None
    assert api.me(first.json()["api_key"]).status_code == 200
    error = assert_is_error(second, 409, "key_already_delivered")
    assert first.json()["api_key"] not in second.text
    assert error["details"] == {"key_id": asked.json()["key_id"]}


@pytest.mark.parametrize(
    ("key_id", "status", "code"),
    [("key_" + "0" * 20, 404, "key_not_found"), ("cvg_dev_x", 422, "invalid_argument")],
)
def test_revealing_what_was_not_issued_is_refused(api: Api, key_id: str, status: int, code: str) -> None:
    assert_is_error(api.admin("POST", f"/api-keys/{key_id}/reveal"), status, code)


def test_a_key_that_is_damaged_on_its_way_can_still_be_revealed_and_the_answer_says_how(
    api: Api, control_plane: ControlPlane, local_gcp: Emulator
) -> None:
    tenant_id = control_plane.tenant()
    with faults(local_gcp, {"method": "*/Decrypt", "corrupt": "plaintext_crc32c", "times": 1}):
        answer = api.admin("POST", "/api-keys", {"tenant_id": tenant_id})

    error = assert_is_error(answer, 502, "data_corrupted")
    key_id = error["details"]["key_id"]
    assert error["details"]["reveal"] == f"POST /api/v1/admin/api-keys/{key_id}/reveal"
    second = assert_is_error(api.admin("POST", "/api-keys", {"tenant_id": tenant_id}), 409, "key_exists")
    assert second["message"].startswith(
        f"Reveal the tenant's key, POST /api/v1/admin/api-keys/{key_id}/reveal"
    )
    assert api.admin("POST", f"/api-keys/{key_id}/reveal").status_code == 200


@pytest.mark.parametrize("named_by", ["key_id", "tenant_api_key_hash"])
def test_a_revoked_key_is_refused_at_once(
    api: Api, control_plane: ControlPlane, named_by: Literal["key_id", "tenant_api_key_hash"]
) -> None:
    key = api.known_key(control_plane.tenant())
    assert api.me(key["api_key"]).status_code == 200

    answer = api.admin("DELETE", f"/api-keys/{key[named_by]}?reason=laptop+lost")

    assert answer.status_code == 200, answer.text
    body = answer.json()
    launch = api.dagster.launches[-1]
    assert (body["key_id"], body["run_id"]) == (key["key_id"], launch.run_id)
    assert launch.op_config() == {"key": key["key_id"], "reason": "laptop lost"}
    assert_is_error(api.me(key["api_key"]), 401, "unauthorized")


def test_a_key_that_is_revoked_twice_stays_revoked_without_another_run(
    api: Api, control_plane: ControlPlane
) -> None:
    tenant_id = control_plane.tenant()
    key = api.known_key(tenant_id)
    first = api.admin("DELETE", f"/api-keys/{key['key_id']}").json()
    launched = len(api.dagster.launches)

    second = api.admin("DELETE", f"/api-keys/{key['key_id']}")

    assert second.status_code == 200
    assert second.json() == first | {"run_id": None, "run_url": None}
    assert len(api.dagster.launches) == launched
    assert api.admin("POST", "/api-keys", {"tenant_id": tenant_id}).status_code == 200


@pytest.mark.parametrize("key", ["key_" + "0" * 20, "0" * 64, "cvg_dev_" + "a" * 49, "nothing"])
def test_revoking_what_was_not_issued_gets_404(api: Api, dagster: DagsterStandIn, key: str) -> None:
    answer = api.admin("DELETE", f"/api-keys/{key}")

    assert_is_error(answer, 404, "key_not_found")
    assert key not in answer.text
    assert dagster.launches == []


def test_a_dagster_that_is_down_revokes_nothing(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    key = api.known_key(control_plane.tenant())
    dagster.broken = (500, b"")

    answer = api.admin("DELETE", f"/api-keys/{key['key_id']}")

    assert_is_error(answer, 503, "dagster_unavailable")
    assert api.me(key["api_key"]).status_code == 200


def test_a_revocation_past_the_callers_patience_gets_202(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    key = api.known_key(control_plane.tenant())
    del dagster.work["revoke_tenant_key"]

    answer = api.admin("DELETE", f"/api-keys/{key['key_id']}", Prefer="wait=0")

    assert answer.status_code == 202
    assert answer.headers["Location"] == answer.json()["run_url"]


def test_of_two_reveals_at_once_one_gets_the_key(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id = control_plane.tenant()
    del dagster.work["issue_tenant_key"]
    asked = api.admin("POST", "/api-keys", {"tenant_id": tenant_id}, Prefer="respond-async")
    control_plane.issue(dagster.launches[-1])
    path = asked.headers["Location"].removeprefix("/api/v1/admin")
    statuses: list[int] = []

    callers = [
        threading.Thread(target=lambda: statuses.append(api.admin("POST", path).status_code))
        for _ in range(2)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert sorted(statuses) == [200, 409]
