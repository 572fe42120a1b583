"""Keys asked for with an Idempotency-Key, and many at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from convergence_orchestration.keys.model import KeyId
from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn
from convergence_orchestration_tests.api.platform import Api, ControlPlane, assert_is_error
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults

AT_ONCE = 100


def asked(api: Api, tenant_id: str, idempotency_key: str | None = None, **fields: object) -> httpx.Response:
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    return api.admin("POST", "/api-keys", {"tenant_id": tenant_id, **fields}, **headers)


def test_a_hundred_at_once_get_one_key_and_launch_one_run(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    tenant_id = control_plane.tenant()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: asked(api, tenant_id), range(AT_ONCE)))

    (issued,) = (answer for answer in answers if answer.status_code == 200)
    refused = [answer for answer in answers if answer is not issued]
    assert [assert_is_error(each, 409, "key_exists") for each in refused]
    assert {each.json()["error"]["details"]["key_id"] for each in refused} == {issued.json()["key_id"]}
    assert all(issued.json()["api_key"] not in each.text for each in refused)
    assert [launch.job for launch in dagster.launches] == ["issue_tenant_key"]
    (record,) = control_plane.stores.ledger.known(tenant_id).values()  # type: ignore[arg-type]
    assert record.key_id == issued.json()["key_id"]


def test_the_same_request_gets_the_same_key_for_ten_minutes_and_then_never(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    tenant_id = control_plane.tenant()
    first = asked(api, tenant_id, f"one-{tenant_id}")
    again = asked(api, tenant_id, f"one-{tenant_id}")
    assert first.status_code == again.status_code == 200, again.text
    assert again.json() == first.json() | {"run_id": None, "run_url": None}
    assert len(dagster.launches) == 1
    assert api.me(again.json()["api_key"]).status_code == 200
    by_reveal = api.admin("POST", f"/api-keys/{first.json()['key_id']}/reveal")
    assert_is_error(by_reveal, 409, "key_already_delivered")

    api.clock.ahead = timedelta(minutes=10)
    late = asked(api, tenant_id, f"one-{tenant_id}")
    assert_is_error(late, 409, "key_already_delivered")
    assert first.json()["api_key"] not in late.text


@pytest.mark.parametrize(
    "other", [{"description": "another"}, {"scopes": ["usage:read"]}, {"expires_at": "2099-01-01T00:00:00Z"}]
)
def test_the_same_idempotency_key_with_another_body_gets_409(
    api: Api, control_plane: ControlPlane, other: dict[str, Any]
) -> None:
    tenant_id = control_plane.tenant()
    first = asked(api, tenant_id, f"key-{tenant_id}")
    answer = asked(api, tenant_id, f"key-{tenant_id}", **other)
    assert_is_error(answer, 409, "idempotency_key_reused")
    assert first.json()["api_key"] not in answer.text


def test_the_same_idempotency_key_for_another_tenant_gets_409(api: Api, control_plane: ControlPlane) -> None:
    tenant_id = control_plane.tenant()
    asked(api, tenant_id, f"key-{tenant_id}")
    assert_is_error(asked(api, control_plane.tenant(), f"key-{tenant_id}"), 409, "idempotency_key_reused")


def test_a_reused_idempotency_key_refuses_nobody_else_who_asks_at_the_same_time(
    api: Api, control_plane: ControlPlane
) -> None:
    tenant_id, other = control_plane.tenant(), control_plane.tenant()
    asked(api, other, f"key-{other}")
    with ThreadPoolExecutor(4) as pool:
        reused = [pool.submit(asked, api, tenant_id, f"key-{other}") for _ in range(3)]
        issued = pool.submit(asked, api, tenant_id)
    assert issued.result().status_code == 200, issued.result().text
    codes = {answer.result().json()["error"]["code"] for answer in reused}
    assert codes <= {"idempotency_key_reused", "key_exists"}


def test_a_request_past_its_callers_patience_is_followed_by_the_same_request(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    tenant_id = control_plane.tenant()
    headers = {"Idempotency-Key": f"key-{tenant_id}", "Prefer": "wait=0"}
    del dagster.work["issue_tenant_key"]
    first, second = (api.admin("POST", "/api-keys", {"tenant_id": tenant_id}, **headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert second.json() == first.json()
    (launch,) = dagster.launches

    control_plane.issue(launch)
    dagster.runs[launch.run_id].status = "SUCCESS"
    third = asked(api, tenant_id, f"key-{tenant_id}")
    assert third.status_code == 200, third.text
    assert third.json()["key_id"] == KeyId(first.json()["key_id"])
    assert len(dagster.launches) == 1


def test_a_run_that_was_launched_for_another_question_is_not_answered_with(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant_id = control_plane.tenant()
    headers = {"Idempotency-Key": f"key-{tenant_id}", "Prefer": "wait=0"}
    del dagster.work["issue_tenant_key"]
    api.admin("POST", "/api-keys", {"tenant_id": tenant_id}, **headers)
    (launch,) = dagster.launches

    looked = dagster.answer

    def finished_meanwhile(operation: str, variables: dict[str, Any]) -> tuple[int, bytes]:
        if operation == "Status":
            control_plane.issue(launch)
            dagster.runs[launch.run_id].status = "SUCCESS"
        return looked(operation, variables)

    monkeypatch.setattr(dagster, "answer", finished_meanwhile)
    answer = asked(api, tenant_id, f"key-{tenant_id}", description="another")
    assert_is_error(answer, 409, "idempotency_key_reused")


def test_a_run_that_failed_is_not_followed_but_launched_again(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn, local_gcp: Emulator
) -> None:
    tenant_id = control_plane.tenant()
    with faults(local_gcp, {"method": "*/Encrypt", "corrupt": "name"}):
        failed = asked(api, tenant_id, f"key-{tenant_id}")
    error = assert_is_error(failed, 502, "data_corrupted")
    again = asked(api, tenant_id, f"key-{tenant_id}")
    assert again.status_code == 200, again.text
    assert again.json()["key_id"] == error["details"]["key_id"]
    assert len(dagster.launches) == 2


@pytest.mark.parametrize("key", ["", "with space", "a" * 256])
def test_what_is_no_idempotency_key_gets_422(api: Api, dagster: DagsterStandIn, key: str) -> None:
    answer = api.admin("POST", "/api-keys", {"tenant_id": "acmecorp"}, **{"Idempotency-Key": key})
    assert_is_error(answer, 422, "invalid_argument")
    assert dagster.launches == []
