from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.keys.ledger import KeyEvents
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn
from convergence_orchestration_tests.api.fulfilling import JOB
from convergence_orchestration_tests.api.platform import Api, ControlPlane, assert_is_error

DOWN = TransientError(ErrorCode.UNAVAILABLE, "Try again: BigQuery is down.")
Call = tuple[str, str, dict[str, str] | None]


def offboarding(tenant_id: str, **more: str) -> Call:
    query = "&".join(f"{name}={value}" for name, value in {"confirm": tenant_id, **more}.items())
    return "DELETE", f"/tenants/{tenant_id}?{query}", None


def plan_change(tenant_id: str, plan: str = "SCALE") -> Call:
    return "PUT", f"/tenants/{tenant_id}/plan", {"plan": plan}


def suspension(tenant_id: str) -> Call:
    return "POST", f"/tenants/{tenant_id}/suspend", None


def resumption(tenant_id: str) -> Call:
    return "POST", f"/tenants/{tenant_id}/resume", None


EVERY = [offboarding, plan_change, suspension, resumption]


def assert_nothing_was_asked(plane: ControlPlane, dagster: DagsterStandIn, tenant_id: str) -> None:
    assert dagster.launches == []
    assert plane.requests_for(tenant_id) == []


def test_another_plan_is_a_request_carried_out_by_a_run(api: Api, control_plane: ControlPlane) -> None:
    tenant_id = control_plane.tenant()

    answer = api.admin(*plan_change(tenant_id))

    assert answer.status_code == 200, answer.text
    (launch,) = api.dagster.launches
    (request,) = control_plane.requests_for(tenant_id)
    assert answer.json() == {
        "tenant_id": tenant_id,
        "state": "ACTIVE",
        "plan": "SCALE",
        "delete_after": None,
        "state_reason": "",
        "request_id": request.request_id,
        "run_id": launch.run_id,
        "run_url": f"{api.dagster.url}/runs/{launch.run_id}",
    }
    assert api.admin("GET", f"/tenants/{tenant_id}").json()["plan"] == "SCALE"
    assert launch.tags["convergence/tenant_id"] == tenant_id


def test_a_tenant_is_suspended_with_a_reason_and_resumed(api: Api, control_plane: ControlPlane) -> None:
    tenant_id = control_plane.tenant()

    suspended = api.admin("POST", f"/tenants/{tenant_id}/suspend", {"reason": "unpaid"})
    resumed = api.admin("POST", f"/tenants/{tenant_id}/resume", {"reason": "paid"})

    assert suspended.status_code == resumed.status_code == 200, suspended.text + resumed.text
    assert (suspended.json()["state"], suspended.json()["state_reason"]) == ("SUSPENDED", "unpaid")
    assert (resumed.json()["state"], resumed.json()["state_reason"]) == ("ACTIVE", "paid")
    assert [str(request.kind) for request in control_plane.requests_for(tenant_id)] == ["SUSPEND", "RESUME"]


def test_offboarding_revokes_the_keys_and_names_the_day_and_can_be_resumed(
    api: Api, control_plane: ControlPlane
) -> None:
    tenant_id = control_plane.tenant()
    api.known_key(tenant_id)

    answer = api.admin(*offboarding(tenant_id, reason="left", retention_days="7"))

    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert (body["state"], body["state_reason"]) == ("OFFBOARDING", "left")
    in_a_week = datetime.now(UTC) + timedelta(days=7)
    assert abs(datetime.fromisoformat(body["delete_after"]) - in_a_week) < timedelta(minutes=5)
    ledger = KeyEvents(control_plane.bigquery)
    assert ledger.active_for(TenantId(tenant_id), datetime.now(UTC)) == []
    resumed = api.admin(*resumption(tenant_id)).json()
    assert (resumed["state"], resumed["delete_after"]) == ("ACTIVE", None)


def test_offboarding_keeps_a_tenant_for_thirty_days_without_a_snapshot_unless_told_otherwise(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    del dagster.work[JOB]
    first, second = control_plane.tenant(), control_plane.tenant()

    api.admin(*offboarding(first), Prefer="respond-async")
    api.admin(*offboarding(second, take_snapshot="true", retention_days="0"), Prefer="respond-async")

    asked = [control_plane.requests_for(tenant_id)[0].parameters for tenant_id in (first, second)]
    assert [vars(each)["retention_days"] for each in asked] == [30, 0]
    assert [vars(each)["take_snapshot"] for each in asked] == [False, True]


@pytest.mark.parametrize("confirm", ["", "confirm=", "confirm=other_tenant", "confirm=ACME"])
def test_a_confirmation_that_differs_gets_422_and_nothing_is_changed(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn, confirm: str
) -> None:
    tenant_id = control_plane.tenant()

    answer = api.admin("DELETE", f"/tenants/{tenant_id}?{confirm}")

    error = assert_is_error(answer, 422, "invalid_argument")
    assert error["details"] == [{"field": "confirm", "message": error["message"]}]
    assert f"confirm={tenant_id}" in error["message"]
    assert_nothing_was_asked(control_plane, dagster, tenant_id)
    assert api.admin("GET", f"/tenants/{tenant_id}").json()["state"] == "ACTIVE"


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (("PUT", "/plan", {"plan": "GOLD"}), "plan"),
        (("PUT", "/plan", {"plan": "scale"}), "plan"),
        (("PUT", "/plan", {}), "plan"),
        (("PUT", "/plan", None), "body"),
        (("POST", "/suspend", {"reason": "a" * 501}), "reason"),
        (("POST", "/resume", {"reason": "a\x00"}), "reason"),
        (("POST", "/resume", {"why": ""}), "why"),
    ],
)
def test_a_field_that_is_wrong_gets_422_and_nothing_is_changed(
    api: Api,
    control_plane: ControlPlane,
    dagster: DagsterStandIn,
    call: tuple[str, str, dict[str, Any] | None],
    field: str,
) -> None:
    tenant_id = control_plane.tenant()
    method, path, body = call

    answer = api.admin(method, f"/tenants/{tenant_id}{path}", body)

    error = assert_is_error(answer, 422, "invalid_argument")
    assert [detail["field"] for detail in error["details"]] == [field]
    assert_nothing_was_asked(control_plane, dagster, tenant_id)


@pytest.mark.parametrize("days", ["-1", "366", "soon", "1.5"])
def test_a_retention_that_cannot_be_gets_422(api: Api, control_plane: ControlPlane, days: str) -> None:
    tenant_id = control_plane.tenant()

    error = assert_is_error(api.admin(*offboarding(tenant_id, retention_days=days)), 422, "invalid_argument")

    assert error["details"][0]["field"] == "retention_days"
    assert control_plane.requests_for(tenant_id) == []


@pytest.mark.parametrize("call", EVERY)
@pytest.mark.parametrize("tenant_id", ["never_made", "Not-An-Id", "tenants"])
def test_a_tenant_that_is_not_there_gets_404_and_nothing_is_written(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn, call: Any, tenant_id: str
) -> None:
    assert_is_error(api.admin(*call(tenant_id)), 404, "tenant_not_found")
    assert_nothing_was_asked(control_plane, dagster, tenant_id)


@pytest.mark.parametrize("call", EVERY)
def test_a_deleted_tenant_gets_409_for_whatever_is_asked(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn, call: Any
) -> None:
    tenant_id = control_plane.tenant("DELETED")

    assert_is_error(api.admin(*call(tenant_id)), 409, "tenant_deleted")
    assert_nothing_was_asked(control_plane, dagster, tenant_id)


@pytest.mark.parametrize(
    ("state", "call"),
    [("OFFBOARDING", suspension), ("OFFBOARDING", plan_change), ("OFFBOARDING", offboarding)],
)
def test_what_the_state_forbids_gets_409_which_names_it(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn, state: str, call: Any
) -> None:
    tenant_id = control_plane.tenant(state)

    error = assert_is_error(api.admin(*call(tenant_id)), 409, "failed_precondition")

    assert error["details"]["state"] == state
    assert_nothing_was_asked(control_plane, dagster, tenant_id)


@pytest.mark.parametrize(
    ("state", "call"),
    [
        ("ACTIVE", resumption),
        ("SUSPENDED", suspension),
        ("ACTIVE", lambda tenant_id: plan_change(tenant_id, "STARTER")),
    ],
)
def test_what_is_so_already_is_answered_without_a_run(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn, state: str, call: Any
) -> None:
    tenant_id = control_plane.tenant(state)

    answer = api.admin(*call(tenant_id))

    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["state"], body["plan"]) == (state, "STARTER")
    assert (body["request_id"], body["run_id"], body["run_url"]) == (None, None, None)
    assert_nothing_was_asked(control_plane, dagster, tenant_id)


@pytest.mark.parametrize("call", EVERY)
def test_whatever_is_asked_while_another_request_is_open_gets_409_which_names_that(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn, call: Any
) -> None:
    del dagster.work[JOB]
    tenant_id = control_plane.tenant()
    first = api.admin(*plan_change(tenant_id, "PROFESSIONAL"), Prefer="respond-async").json()

    error = assert_is_error(api.admin(*call(tenant_id)), 409, "request_in_progress")

    assert error["details"]["request_id"] == first["request_id"]
    assert error["details"]["kind"] == "CHANGE_PLAN"
    assert len(dagster.launches) == len(control_plane.requests_for(tenant_id)) == 1


def test_a_change_that_goes_on_is_answered_202_with_the_state_as_it_is(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    del dagster.work[JOB]
    tenant_id = control_plane.tenant()

    answer = api.admin(*suspension(tenant_id), Prefer="respond-async")

    body = answer.json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/v1/admin/tenant-requests/{body['request_id']}"
    assert body["state"] == "ACTIVE"
    assert body["run_id"] == dagster.launches[0].run_id


def test_without_dagster_a_change_is_written_down_and_answered_202(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    dagster.broken = (502, b"")
    tenant_id = control_plane.tenant()

    answer = api.admin(*offboarding(tenant_id))

    assert answer.status_code == 202, answer.text
    assert (answer.json()["run_id"], answer.json()["state"]) == (None, "ACTIVE")
    (request,) = control_plane.requests_for(tenant_id)
    assert request.request_id == answer.json()["request_id"]


def test_a_change_that_failed_and_is_tried_again_by_itself_can_be_hurried_and_not_overtaken(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    tenant_id = control_plane.tenant()
    dagster.work[JOB] = partial(control_plane.fulfilling.failing, DOWN)
    failed = assert_is_error(api.admin(*suspension(tenant_id)), 503, "unavailable")
    dagster.work[JOB] = control_plane.fulfilling.seemingly

    overtaking = api.admin(*resumption(tenant_id))
    hurried = api.admin(*suspension(tenant_id))

    assert_is_error(overtaking, 409, "request_in_progress")
    assert hurried.json()["state"] == "SUSPENDED"
    assert hurried.json()["request_id"] == failed["details"]["request_id"]


def test_a_change_that_failed_for_good_is_a_new_request_the_next_time(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    tenant_id = control_plane.tenant()
    no_role = PermanentError(ErrorCode.PERMISSION_DENIED, "Grant the role.")
    dagster.work[JOB] = partial(control_plane.fulfilling.failing, no_role)
    failed = assert_is_error(api.admin(*suspension(tenant_id)), 502, "permission_denied")
    dagster.work[JOB] = control_plane.fulfilling.seemingly

    again = api.admin(*suspension(tenant_id))

    assert again.json()["request_id"] != failed["details"]["request_id"]


def test_a_change_sent_again_with_its_key_is_done_once(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    tenant_id = control_plane.tenant()
    key = {"Idempotency-Key": f"offboard-{tenant_id}"}

    first = api.admin(*offboarding(tenant_id), **key)
    again = api.admin(*offboarding(tenant_id), **key)
    otherwise = api.admin(*offboarding(tenant_id, retention_days="1"), **key)
    of_another_kind = api.admin(*resumption(tenant_id), **key)

    assert first.status_code == again.status_code == 200, first.text
    assert first.json() == again.json()
    assert_is_error(otherwise, 409, "idempotency_key_reused")
    assert of_another_kind.json()["state"] == "ACTIVE", "a key stands for a request of its kind"
    assert len(dagster.launches) == 2
