from functools import partial
from typing import Any

import pytest

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn
from convergence_orchestration_tests.api.fulfilling import JOB
from convergence_orchestration_tests.api.platform import Api, ControlPlane, assert_is_error, new_tenant_id

DOWN = TransientError(ErrorCode.UNAVAILABLE, "Try again: BigQuery is down.")


def test_a_request_is_looked_at_with_everything_that_happened_to_it(api: Api) -> None:
    tenant_id = new_tenant_id()
    made = api.admin("POST", "/tenants", {"tenant_id": tenant_id, "plan": "SCALE"}).json()

    answer = api.admin("GET", f"/tenant-requests/{made['request_id']}")

    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["state"], body["kind"], body["tenant_id"]) == ("DONE", "ONBOARD", tenant_id)
    assert (body["actor"], body["batch_id"], body["attempt"]) == ("administrator", None, 1)
    assert (body["run_id"], body["run_url"]) == (made["run_id"], made["run_url"])
    assert (body["reason"], body["error_code"]) == (None, None)
    assert body["parameters"]["plan"] == "SCALE"
    assert body["next"]["step"] == "NOTHING"
    events = body["events"]
    assert [event["state"] for event in events] == ["REQUESTED", "RUNNING", "DONE"]
    assert [event["run_id"] for event in events] == [None, made["run_id"], made["run_id"]]
    assert events[2]["run_url"] == made["run_url"]
    assert events[0]["seconds"] is None
    assert events[1]["seconds"] >= 0
    durations = body["durations"]
    assert durations.keys() == {"waited_seconds", "worked_seconds", "total_seconds"}
    assert durations["total_seconds"] == pytest.approx(
        durations["waited_seconds"] + durations["worked_seconds"], abs=0.01
    )


def test_a_request_that_failed_says_why_and_when_it_is_tried_again(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    dagster.work[JOB] = partial(control_plane.fulfilling.failing, DOWN)
    failed = api.admin("POST", "/tenants", {"tenant_id": new_tenant_id()}).json()["error"]

    body = api.admin("GET", f"/tenant-requests/{failed['details']['request_id']}").json()

    assert (body["state"], body["error_code"], body["reason"]) == ("FAILED", "unavailable", DOWN.message)
    assert body["next"]["step"] == "RETRY"
    assert body["next"]["retry_at"] > body["updated_at"]
    assert body["next"] | {"retry_at": ""} == failed["details"]["next"] | {"retry_at": ""}
    assert body["events"][-1]["error_code"] == "unavailable"


@pytest.mark.parametrize("request_id", ["req_" + "a" * 26, "req_short", "x"])
def test_a_request_that_is_not_there_gets_404(api: Api, request_id: str) -> None:
    assert_is_error(api.admin("GET", f"/tenant-requests/{request_id}"), 404, "not_found")


def listed(api: Api, query: str) -> tuple[list[dict[str, Any]], str | None]:
    answer = api.admin("GET", f"/tenant-requests?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["requests"], answer.json()["next_before"]


def test_requests_are_listed_the_newest_first_and_filtered(api: Api, control_plane: ControlPlane) -> None:
    tenant_id = control_plane.tenant()
    for call in ("suspend", "resume", "suspend"):
        assert api.admin("POST", f"/tenants/{tenant_id}/{call}").status_code == 200
    sent = api.admin("POST", "/tenants:batch", {"tenants": [{"tenant_id": new_tenant_id()}]}).json()

    found, _ = listed(api, f"tenant_id={tenant_id}")
    of_kind, _ = listed(api, f"tenant_id={tenant_id}&kind=RESUME&state=DONE")
    of_batch, _ = listed(api, f"batch_id={sent['batch_id']}")
    failed, _ = listed(api, f"tenant_id={tenant_id}&state=FAILED")

    assert [request["kind"] for request in found] == ["SUSPEND", "RESUME", "SUSPEND"]
    assert found[0]["requested_at"] > found[2]["requested_at"]
    assert found[0]["parameters"] == {"tenant_id": tenant_id, "reason": ""}
    assert found[0]["next"]["step"] == "NOTHING"
    assert "events" not in found[0]
    assert of_kind == [found[1]]
    assert [request["request_id"] for request in of_batch] == [sent["requests"][0]["request_id"]]
    assert failed == []


def test_pages_of_requests_follow_each_other_without_a_gap(api: Api) -> None:
    sent = api.admin(
        "POST", "/tenants:batch", {"tenants": [{"tenant_id": new_tenant_id()} for _ in range(5)]}
    ).json()
    query = f"batch_id={sent['batch_id']}&limit=2"

    found: list[str] = []
    requests, before = listed(api, query)
    pages = [len(requests)]
    found += [request["request_id"] for request in requests]
    while before is not None:
        requests, before = listed(api, f"{query}&before={before}")
        pages.append(len(requests))
        found += [request["request_id"] for request in requests]

    assert pages == [2, 2, 1]
    assert set(found) == {request["request_id"] for request in sent["requests"]}
    assert len(found) == 5


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=201", "state=GONE", "kind=MAKE", "tenant_id=Acme", "batch_id=bat_x"),
        *("before=x", "before=" + "a" * 201),
    ],
)
def test_a_page_that_cannot_be_gets_422_which_names_the_filter(api: Api, query: str) -> None:
    error = assert_is_error(api.admin("GET", f"/tenant-requests?{query}"), 422, "invalid_argument")

    assert [detail["field"] for detail in error["details"]] == [query.partition("=")[0]]
