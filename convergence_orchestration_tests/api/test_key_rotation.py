from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn
from convergence_orchestration_tests.api.platform import Api, ControlPlane, assert_is_error


def rotated(api: Api, key_id: str, seconds: object = 3600, **headers: str) -> httpx.Response:
    return api.admin("POST", f"/api-keys/{key_id}/rotate", {"grace_seconds": seconds}, **headers)


def test_both_keys_work_for_the_time_of_grace_and_the_answer_says_when_the_old_one_ends(
    api: Api, control_plane: ControlPlane
) -> None:
    tenant_id = control_plane.tenant()
    old = api.known_key(tenant_id, description="nightly")

    answer = rotated(api, old["key_id"])

    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["old_key_id"], body["description"], body["tenant_id"]) == (
        old["key_id"],
        "nightly",
        tenant_id,
    )
    ends_at = datetime.fromisoformat(body["old_key_ends_at"])
    assert ends_at - datetime.fromisoformat(body["created_at"]) == timedelta(hours=1)
    assert [api.me(key).status_code for key in (old["api_key"], body["api_key"])] == [200, 200]
    shown = api.admin("GET", f"/api-keys/{old['key_id']}").json()
    assert (shown["state"], shown["successor_key_id"]) == ("ROTATING", body["key_id"])
    assert shown["ends_at"] == body["old_key_ends_at"]
    api.go_ahead(timedelta(hours=1, minutes=1))
    assert [api.me(key).status_code for key in (old["api_key"], body["api_key"])] == [401, 200]
    assert_is_error(rotated(api, old["key_id"]), 409, "failed_precondition")


def test_without_grace_the_old_key_is_refused_at_once(api: Api, control_plane: ControlPlane) -> None:
    old = api.known_key(control_plane.tenant())
    new = rotated(api, old["key_id"], 0).json()
    assert [api.me(key).status_code for key in (old["api_key"], new["api_key"])] == [401, 200]


def test_the_same_rotation_again_is_the_same_key_and_another_one_refused(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    old = api.known_key(control_plane.tenant())
    headers = {"Idempotency-Key": f"rotate-{old['key_id']}"}
    first, again = (rotated(api, old["key_id"], **headers) for _ in range(2))
    assert again.json() == first.json() | {"run_id": None, "run_url": None}
    assert len(dagster.launches) == 1
    assert_is_error(rotated(api, old["key_id"], 60, **headers), 409, "idempotency_key_reused")
    error = assert_is_error(rotated(api, old["key_id"]), 409, "failed_precondition")
    assert error["details"]["successor_key_id"] == first.json()["key_id"]


@pytest.mark.parametrize("seconds", [-1, 604_801, 10**30, "3600", None, True, 0.5])
def test_a_wrong_time_of_grace_gets_422(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn, seconds: Any
) -> None:
    del control_plane
    error = assert_is_error(rotated(api, "key_" + "0" * 20, seconds), 422, "invalid_argument")
    assert [detail["field"] for detail in error["details"]] == ["grace_seconds"]
    assert dagster.launches == []


@pytest.mark.parametrize(
    ("key_id", "status", "code"),
    [("key_" + "0" * 20, 404, "key_not_found"), ("cvg_dev_" + "a" * 49, 422, "invalid_argument")],
)
def test_what_was_not_issued_is_not_rotated(api: Api, key_id: str, status: int, code: str) -> None:
    answer = rotated(api, key_id)
    assert_is_error(answer, status, code)
    assert key_id not in answer.text


def test_a_rotation_past_its_callers_patience_gets_202_and_is_revealed(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    old = api.known_key(control_plane.tenant())
    del dagster.work["rotate_tenant_key"]
    answer = rotated(api, old["key_id"], Prefer="respond-async")
    assert answer.status_code == 202
    control_plane.rotate(dagster.launches[-1])
    path = answer.headers["Location"].removeprefix("/api/v1/admin")
    assert api.admin("POST", path).json()["key_id"] == answer.json()["key_id"]
