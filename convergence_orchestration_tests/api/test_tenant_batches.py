from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.tenancy.asked import parse_new_tenant
from convergence_orchestration.tenancy.request_model import RequestEvent, RequestState
from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn, Launch, Materializations
from convergence_orchestration_tests.api.fulfilling import JOB, event_of, request_ids_of
from convergence_orchestration_tests.api.platform import (
    Api,
    ControlPlane,
    assert_is_error,
    new_tenant_id,
    patiently,
    served,
)
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults

DOWN = TransientError(ErrorCode.UNAVAILABLE, "Try again: BigQuery is down.")
NO_ROLE = PermanentError(ErrorCode.PERMISSION_DENIED, "Grant the role.")


def send(api: Api, rows: list[Any], key: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return api.admin("POST", "/tenants:batch", {"tenants": rows}, **headers)


def rows_of(*tenant_ids: str) -> list[dict[str, str]]:
    return [{"tenant_id": tenant_id} for tenant_id in tenant_ids]


def progress(api: Api, answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = api.admin("GET", answer.headers["Location"].removeprefix("/api/v1/admin")).json()
    return body


def test_many_tenants_are_written_down_and_made_by_one_run(api: Api) -> None:
    ids = [new_tenant_id() for _ in range(3)]

    answer = send(api, [*rows_of(*ids[:2]), {"tenant_id": ids[2], "plan": "SCALE"}])

    assert answer.status_code == 202, answer.text
    body = answer.json()
    (launch,) = api.dagster.launches
    assert launch.tags == {
        "convergence/batch_id": body["batch_id"],
        "convergence/actor": "administrator",
        "convergence/call_id": answer.headers["X-Request-ID"],
    }
    assert (body["accepted"], body["refused"], body["run_id"]) == (3, [], launch.run_id)
    assert body["run_url"] == f"{api.dagster.url}/runs/{launch.run_id}"
    assert [(row["index"], row["tenant_id"]) for row in body["requests"]] == list(enumerate(ids))
    assert request_ids_of(launch) == [row["request_id"] for row in body["requests"]]
    assert answer.headers["Location"] == f"/api/v1/admin/tenant-batches/{body['batch_id']}"
    assert api.admin("GET", f"/tenants/{ids[2]}").json()["plan"] == "SCALE"
    asked = api.admin("GET", f"/tenant-requests/{body['requests'][0]['request_id']}").json()
    assert (asked["batch_id"], asked["state"]) == (body["batch_id"], "DONE")
    found = progress(api, answer)
    assert found["counts"] == {"REQUESTED": 0, "RUNNING": 0, "DONE": 3, "FAILED": 0}
    assert (found["total"], found["is_finished"], found["failures"]) == (3, True, [])


def test_bad_rows_of_each_kind_are_listed_and_the_others_are_made(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    good, busy, there = new_tenant_id(), new_tenant_id(), control_plane.tenant()
    gone = control_plane.tenant("DELETED")
    del dagster.work[JOB]
    api.admin("POST", "/tenants", {"tenant_id": busy}, Prefer="respond-async")
    rows = [
        *rows_of(good, good, busy, there, gone, "Not-An-Id", "tenants"),
        {"tenant_id": new_tenant_id(), "plan": "GOLD"},
        "acme",
    ]

    answer = send(api, rows)

    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert [(row["index"], row["tenant_id"]) for row in body["requests"]] == [(0, good)]
    assert [(row["index"], row["tenant_id"], row["code"]) for row in body["refused"]] == [
        (1, good, "invalid_argument"),
        (2, busy, "request_in_progress"),
        (3, there, "tenant_exists"),
        (4, gone, "tenant_deleted"),
        (5, None, "invalid_tenant_id"),
        (6, "tenants", "reserved_tenant_id"),
        (7, rows[7]["tenant_id"], "invalid_argument"),  # type: ignore[index]
        (8, None, "invalid_argument"),
    ]
    assert "8 rows were refused" in body["message"]
    assert control_plane.requests_for(there) == []
    assert len(control_plane.requests_for(busy)) == 1


def test_a_batch_without_a_row_that_can_be_accepted_gets_422_and_nothing_is_written(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    there = control_plane.tenant()

    answer = send(api, [{"tenant_id": "Acme"}, *rows_of(there), 7])

    error = assert_is_error(answer, 422, "invalid_argument")
    assert [detail["field"] for detail in error["details"]] == [
        "tenants.0.tenant_id",
        "tenants.1.tenant_id",
        "tenants.2",
    ]
    assert dagster.launches == []
    assert control_plane.requests_for(there) == []


def test_a_batch_of_malformed_rows_alone_gets_422(api: Api, dagster: DagsterStandIn) -> None:
    error = assert_is_error(send(api, [{"tenant_id": "Acme"}, {}]), 422, "invalid_argument")

    assert [detail["field"] for detail in error["details"]] == ["tenants.0.tenant_id", "tenants.1.tenant_id"]
    assert dagster.launches == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tenants": []}, "tenants"),
        ({"tenants": [{}] * 1001}, "tenants"),
        ({"tenants": {"tenant_id": "acme"}}, "tenants"),
        ({}, "tenants"),
        ({"tenants": [{}], "more": 1}, "more"),
    ],
)
def test_a_batch_that_is_none_or_too_large_gets_422(
    api: Api, dagster: DagsterStandIn, body: dict[str, Any], field: str
) -> None:
    error = assert_is_error(api.admin("POST", "/tenants:batch", body), 422, "invalid_argument")

    assert [detail["field"] for detail in error["details"]] == [field]
    assert dagster.launches == []


def test_a_thousand_rows_are_one_run(api: Api, dagster: DagsterStandIn) -> None:
    del dagster.work[JOB]

    answer = send(api, rows_of(*(new_tenant_id() for _ in range(1000))))

    assert answer.status_code == 202, answer.text
    assert answer.json()["accepted"] == 1000
    (launch,) = dagster.launches
    assert len(set(request_ids_of(launch))) == 1000
    found = progress(api, answer)
    assert (found["total"], found["counts"]["REQUESTED"], found["is_finished"]) == (1000, 1000, False)


def test_a_batch_counts_as_one_call_of_the_creation_limit(
    control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    del dagster.work[JOB]
    settings = patiently(control_plane.settings).model_copy(update={"tenant_creations_per_minute": 1})
    with served(settings, dagster) as api:
        first = send(api, rows_of(new_tenant_id(), new_tenant_id()))
        second = send(api, rows_of(new_tenant_id()))

    assert first.status_code == 202, first.text
    assert first.headers["RateLimit-Remaining"] == "0"
    assert_is_error(second, 429, "rate_limited")
    assert len(dagster.launches) == 1


def test_a_batch_sent_again_with_its_key_is_the_same_and_what_is_done_stays(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    ids, key = (new_tenant_id(), new_tenant_id()), str(uuid4())

    first = send(api, rows_of(*ids), key).json()
    with served(patiently(control_plane.settings), dagster) as another_process:
        again = send(another_process, rows_of(*ids), key).json()

    assert again["batch_id"] == first["batch_id"]
    assert again["requests"] == first["requests"]
    assert (again["accepted"], again["refused"], again["run_id"]) == (2, [], None)
    assert again["message"] == "All 2 tenants are made."
    assert len(dagster.launches) == 1


def test_a_batch_sent_again_while_its_run_goes_on_names_that_run(api: Api, dagster: DagsterStandIn) -> None:
    del dagster.work[JOB]
    ids, key = (new_tenant_id(), new_tenant_id()), str(uuid4())

    first = send(api, rows_of(*ids), key).json()
    again = send(api, rows_of(*ids), key).json()

    assert again == first
    assert len(dagster.launches) == 1


def test_a_batch_sent_again_launches_only_what_nobody_works_on(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    ids, key = [new_tenant_id() for _ in range(4)], str(uuid4())
    done, failed, killed, by_the_sensor = ids
    states: dict[str, tuple[RequestState, ...]] = {
        done: (RequestState.RUNNING, RequestState.DONE),
        failed: (RequestState.RUNNING, RequestState.FAILED),
        killed: (RequestState.RUNNING,),
    }

    def is_killed_in_the_middle(launch: Launch) -> Materializations:
        events: list[RequestEvent] = []
        for tenant_id, told in states.items():
            (request,) = control_plane.requests_for(tenant_id)
            for state in told:
                error = NO_ROLE if state is RequestState.FAILED else None
                events.append(event_of(request, state, launch, error))
        api.services.requests.append(*events)
        raise TransientError(ErrorCode.UNAVAILABLE, "Its worker died.")

    dagster.work[JOB] = is_killed_in_the_middle
    first = send(api, rows_of(*ids), key).json()
    sensors_run = dagster.add_run(JOB, "STARTED", {"convergence/actor": "tenant_request_sensor"})
    (request,) = control_plane.requests_for(by_the_sensor)
    running = event_of(request, RequestState.RUNNING, dagster.runs[sensors_run].launch)
    api.services.requests.append(running)
    del dagster.work[JOB]

    again = send(api, rows_of(*ids), key).json()

    assert again["requests"] == first["requests"]
    by_tenant = {row["tenant_id"]: row["request_id"] for row in again["requests"]}
    assert set(request_ids_of(dagster.launches[-1])) == {by_tenant[failed], by_tenant[killed]}
    assert again["run_id"] == dagster.launches[-1].run_id
    assert again["message"].startswith("3 tenants are being made")


def test_a_batch_whose_launch_was_lost_is_written_down_and_launched_when_it_is_sent_again(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    ids, key = (new_tenant_id(), new_tenant_id()), str(uuid4())
    dagster.broken = (502, b"")
    lost = send(api, rows_of(*ids), key)
    unknown = send(api, rows_of(*ids), key)
    dagster.broken = None

    found = send(api, rows_of(*ids), key)

    assert lost.status_code == unknown.status_code == found.status_code == 202
    assert (lost.json()["run_id"], lost.json()["accepted"]) == (None, 2)
    assert "begins by itself as soon as Dagster can be asked again" in lost.json()["message"]
    assert lost.json()["requests"] == unknown.json()["requests"] == found.json()["requests"]
    assert len(dagster.launches) == 1
    assert len(request_ids_of(dagster.launches[0])) == 2
    assert [request.attempt for request in control_plane.requests_for(ids[0])] == [1]


@pytest.mark.parametrize("change", ["another tenant", "another plan", "a row less"])
def test_a_key_that_stands_for_another_batch_gets_409_and_nothing_is_written(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn, change: str
) -> None:
    first, second, key = new_tenant_id(), new_tenant_id(), str(uuid4())
    sent = send(api, rows_of(first, second), key).json()
    other = new_tenant_id()
    rows = {
        "another tenant": rows_of(first, other),
        "another plan": [{"tenant_id": first, "plan": "SCALE"}, {"tenant_id": second}],
        "a row less": rows_of(second),
    }[change]

    error = assert_is_error(send(api, rows, key), 409, "idempotency_key_reused")

    assert error["details"] == {"stands_for": f"batch {sent['batch_id']}"}
    assert len(dagster.launches) == 1
    assert control_plane.requests_for(other) == []


def test_a_batchs_key_stands_for_no_single_tenant(api: Api) -> None:
    first, second, key = new_tenant_id(), new_tenant_id(), str(uuid4())
    send(api, rows_of(first, second), key)

    answer = api.admin("POST", "/tenants", {"tenant_id": first}, **{"Idempotency-Key": key})

    assert_is_error(answer, 409, "idempotency_key_reused")


def test_a_batch_that_cannot_be_written_down_names_itself_and_launches_nothing(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn, local_bigquery: Emulator
) -> None:
    tenant_id = new_tenant_id()
    with faults(
        local_bigquery,
        {"method": "POST */tables/tenant_requests/insertAll", "code": 403, "reason": "accessDenied"},
    ):
        answer = send(api, rows_of(tenant_id))

    error = assert_is_error(answer, 502, "permission_denied")
    assert error["details"]["batch_id"].startswith("bat_")
    assert dagster.launches == []
    assert control_plane.requests_for(tenant_id) == []


def test_what_failed_of_a_batch_is_listed_with_what_comes_next(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    tenant_id = new_tenant_id()
    dagster.work[JOB] = partial(control_plane.fulfilling.failing, NO_ROLE)

    for_good = progress(api, send(api, rows_of(tenant_id)))

    (failure,) = for_good["failures"]
    assert (failure["tenant_id"], failure["error_code"]) == (tenant_id, "permission_denied")
    assert (failure["reason"], failure["next"]["step"]) == ("Grant the role.", "NOTHING")
    assert (for_good["counts"]["FAILED"], for_good["is_finished"]) == (1, True)


def test_a_batch_with_a_failure_that_is_tried_again_is_not_finished(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    dagster.work[JOB] = partial(control_plane.fulfilling.failing, DOWN)

    found = progress(api, send(api, rows_of(new_tenant_id())))

    assert found["failures"][0]["next"]["step"] == "RETRY"
    assert found["failures"][0]["next"]["retry_at"] is not None
    assert found["is_finished"] is False


def test_a_failed_tenant_is_continued_by_a_batch_and_counts_there(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    tenant_id = new_tenant_id()
    dagster.work[JOB] = partial(control_plane.fulfilling.failing, NO_ROLE)
    first = send(api, rows_of(tenant_id))
    dagster.work[JOB] = control_plane.fulfilling.seemingly

    second = send(api, rows_of(tenant_id))

    assert second.json()["requests"] == first.json()["requests"]
    assert progress(api, second)["counts"]["DONE"] == 1
    (request,) = control_plane.requests_for(tenant_id)
    assert request.parameters == parse_new_tenant(tenant_id=tenant_id)


@pytest.mark.parametrize("batch_id", ["bat_" + "a" * 26, "bat_short", "x"])
def test_a_batch_that_is_not_there_gets_404(api: Api, batch_id: str) -> None:
    assert_is_error(api.admin("GET", f"/tenant-batches/{batch_id}"), 404, "not_found")
