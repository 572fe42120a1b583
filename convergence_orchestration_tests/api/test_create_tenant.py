from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.tenancy.asked import parse_new_tenant
from convergence_orchestration.tenancy.request_model import RequestState, new_request_id
from convergence_orchestration.tenancy.requests import TenantRequests
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration_tests.api.dagster_standin import NO_ANSWER, DagsterStandIn, Launch
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

NO_ROLE = PermanentError(
    ErrorCode.PERMISSION_DENIED, "Grant the role roles/bigquery.admin.\nMore.", {"service": "BigQuery"}
)
DOWN = TransientError(ErrorCode.UNAVAILABLE, "Try again: BigQuery is down.")


def states_of(plane: ControlPlane, tenant_id: str) -> list[tuple[str, int]]:
    return [(str(request.state), request.attempt) for request in plane.requests_for(tenant_id)]


def test_a_tenant_is_made_by_a_run_and_answered_when_it_is_active(
    api: Api, control_plane: ControlPlane
) -> None:
    api.dagster.work[JOB] = control_plane.fulfilling.really
    tenant_id = new_tenant_id()
    wanted = {
        "tenant_id": tenant_id,
        "company_name": "ACME",
        "admin_email": "ops@acme.example",
        "plan": "SCALE",
        "principal": "user:ana@acme.example",
    }

    answer = api.admin("POST", "/tenants", wanted)

    assert answer.status_code == 200, answer.text
    body = answer.json()
    (launch,) = api.dagster.launches
    assert body == {
        "tenant_id": tenant_id,
        "state": "ACTIVE",
        "datasets_created": 1,
        "tables_created": sorted(table.name for table in tenant_tables()),
        "api_keys_count": 0,
        "request_id": body["request_id"],
        "run_id": launch.run_id,
        "run_url": f"{api.dagster.url}/runs/{launch.run_id}",
    }
    assert launch.job == JOB
    assert launch.config == {"ops": {"fulfil": {"config": {"request_ids": [body["request_id"]]}}}}
    assert launch.tags == {
        "convergence/request_id": body["request_id"],
        "convergence/tenant_id": tenant_id,
        "convergence/actor": "administrator",
        "convergence/call_id": answer.headers["X-Request-ID"],
    }
    assert control_plane.bigquery.get_dataset(f"tenant_{tenant_id}") is not None
    assert answer.headers["Cache-Control"] == "no-store"
    profile = api.admin("GET", f"/tenants/{tenant_id}").json()
    assert (profile["plan"], profile["principal"]) == ("SCALE", "user:ana@acme.example")


@pytest.mark.parametrize(
    ("state", "code"),
    [("ACTIVE", "tenant_exists"), ("OFFBOARDING", "tenant_exists"), ("DELETED", "tenant_deleted")],
)
def test_an_id_that_was_given_gets_409(api: Api, control_plane: ControlPlane, state: str, code: str) -> None:
    tenant_id = control_plane.tenant(state)

    answer = api.admin("POST", "/tenants", {"tenant_id": tenant_id, "plan": "SCALE"})

    assert_is_error(answer, 409, code)
    assert api.dagster.launches == []
    assert control_plane.requests_for(tenant_id) == []
    assert api.admin("GET", f"/tenants/{tenant_id}").json()["plan"] == "STARTER"


def test_a_request_repeated_while_its_run_goes_on_gets_409_with_the_requests_id(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    del dagster.work[JOB]
    tenant_id = new_tenant_id()
    first = api.admin("POST", "/tenants", {"tenant_id": tenant_id}, Prefer="respond-async")

    second = api.admin("POST", "/tenants", {"tenant_id": tenant_id})

    error = assert_is_error(second, 409, "request_in_progress")
    assert error["details"]["request_id"] == first.json()["request_id"]
    assert len(dagster.launches) == 1
    assert states_of(control_plane, tenant_id) == [("REQUESTED", 1)]


def test_a_caller_who_does_not_wait_gets_202_and_where_to_ask(api: Api, dagster: DagsterStandIn) -> None:
    del dagster.work[JOB]

    answer = api.admin("POST", "/tenants", {"tenant_id": new_tenant_id()}, Prefer="respond-async")

    assert answer.status_code == 202
    body = answer.json()
    assert body["state"] == "PROVISIONING"
    assert body["run_id"] == dagster.launches[0].run_id
    assert answer.headers["Location"] == f"/api/v1/admin/tenant-requests/{body['request_id']}"
    asked = api.admin("GET", answer.headers["Location"].removeprefix("/api/v1/admin"))
    assert asked.json()["state"] == "REQUESTED"


def test_a_caller_who_waits_less_than_the_run_takes_gets_202(api: Api, dagster: DagsterStandIn) -> None:
    del dagster.work[JOB]

    answer = api.admin("POST", "/tenants", {"tenant_id": new_tenant_id()}, Prefer="wait=1")

    assert answer.status_code == 202


@pytest.mark.parametrize("error", [NO_ROLE, DOWN])
def test_a_request_that_failed_is_tried_again_with_the_same_id_and_the_new_parameters(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane, error: ConvergenceError
) -> None:
    tenant_id = new_tenant_id()
    dagster.work[JOB] = partial(control_plane.fulfilling.failing, error)
    failed = api.admin("POST", "/tenants", {"tenant_id": tenant_id, "plan": "STARTER"})
    request_id = failed.json()["error"]["details"]["request_id"]
    dagster.work[JOB] = control_plane.fulfilling.seemingly

    again = api.admin("POST", "/tenants", {"tenant_id": tenant_id, "plan": "SCALE"})

    assert again.status_code == 200, again.text
    assert again.json()["request_id"] == request_id
    assert api.admin("GET", f"/tenants/{tenant_id}").json()["plan"] == "SCALE"
    assert states_of(control_plane, tenant_id) == [("DONE", 2)]


def test_a_run_that_fails_is_answered_with_its_first_line_its_code_and_what_comes_next(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    dagster.work[JOB] = partial(control_plane.fulfilling.failing, NO_ROLE)

    answer = api.admin("POST", "/tenants", {"tenant_id": new_tenant_id()})

    error = assert_is_error(answer, 502, "permission_denied")
    (launch,) = dagster.launches
    assert error["message"] == "Grant the role roles/bigquery.admin."
    assert error["details"]["run_id"] == launch.run_id
    assert error["details"]["run_url"] == f"{dagster.url}/runs/{launch.run_id}"
    assert error["details"]["request_id"] == request_ids_of(launch)[0]
    assert error["details"]["service"] == "BigQuery"
    assert error["details"]["next"]["step"] == "NOTHING"
    assert error["details"]["next"]["retry_at"] is None


def test_a_failure_that_may_pass_says_when_it_is_tried_again(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    dagster.work[JOB] = partial(control_plane.fulfilling.failing, DOWN)

    answer = api.admin("POST", "/tenants", {"tenant_id": new_tenant_id()})

    error = assert_is_error(answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert error["details"]["next"]["step"] == "RETRY"
    retry_at = datetime.fromisoformat(error["details"]["next"]["retry_at"])
    assert timedelta(seconds=0) < retry_at - datetime.now(UTC) <= timedelta(seconds=30)


def test_a_failure_of_which_no_event_can_be_read_is_answered_without_what_comes_next(
    api: Api, dagster: DagsterStandIn, local_bigquery: Emulator
) -> None:
    def fails(_: Launch) -> list[dict[str, Any]]:
        local_bigquery.faults_file.write_text("[{method: 'POST *queries', code: 403, reason: accessDenied}]")
        raise NO_ROLE

    dagster.work[JOB] = fails
    with faults(local_bigquery):
        answer = api.admin("POST", "/tenants", {"tenant_id": new_tenant_id()})

    error = assert_is_error(answer, 502, "permission_denied")
    assert error["message"] == "Grant the role roles/bigquery.admin."
    assert "next" not in error["details"]


def test_whoever_loses_the_claim_inside_the_run_gets_409(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id = new_tenant_id()

    def another_is_faster(launch: Launch) -> list[dict[str, Any]]:
        labels = {"request_id": new_request_id()}
        control_plane.bigquery.create_dataset(f"tenant_{tenant_id}", description="", labels=labels)
        return control_plane.fulfilling.really(launch)

    dagster.work[JOB] = another_is_faster

    answer = api.admin("POST", "/tenants", {"tenant_id": tenant_id})
    again = api.admin("POST", "/tenants", {"tenant_id": tenant_id})

    first = assert_is_error(answer, 409, "tenant_exists")
    second = assert_is_error(again, 409, "tenant_exists")
    assert first["details"]["next"]["step"] == "NOTHING"
    assert second["details"]["request_id"] != first["details"]["request_id"], "it owns nothing to continue"


@pytest.mark.parametrize(
    ("broken", "operations"), [((502, b""), set()), ((500, b""), {"Launch"}), ((NO_ANSWER, b""), {"Launch"})]
)
def test_without_dagster_the_request_is_written_down_and_answered_202(
    api: Api,
    dagster: DagsterStandIn,
    control_plane: ControlPlane,
    broken: tuple[int, bytes],
    operations: set[str],
) -> None:
    tenant_id = new_tenant_id()
    dagster.broken, dagster.broken_operations = broken, operations

    answer = api.admin("POST", "/tenants", {"tenant_id": tenant_id})

    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert (body["run_id"], body["run_url"]) == (None, None)
    assert "begins by itself as soon as Dagster can be asked again" in body["message"]
    assert answer.headers["Location"] == f"/api/v1/admin/tenant-requests/{body['request_id']}"
    (request,) = control_plane.requests_for(tenant_id)
    assert (request.request_id, request.state) == (body["request_id"], RequestState.REQUESTED)
    assert request.parameters == parse_new_tenant(tenant_id=tenant_id)


def test_a_run_config_that_dagster_refuses_loses_no_request(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id = new_tenant_id()
    dagster.launch_answer = {"__typename": "RunConfigValidationInvalid", "errors": [{"message": "no"}]}

    assert api.admin("POST", "/tenants", {"tenant_id": tenant_id}).status_code == 202
    assert states_of(control_plane, tenant_id) == [("REQUESTED", 1)]


def test_a_request_that_cannot_be_written_down_is_not_launched(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane, local_bigquery: Emulator
) -> None:
    tenant_id = new_tenant_id()
    with faults(
        local_bigquery,
        {"method": "POST */tables/tenant_requests/insertAll", "code": 403, "reason": "accessDenied"},
    ):
        answer = api.admin("POST", "/tenants", {"tenant_id": tenant_id})

    assert_is_error(answer, 502, "permission_denied")
    assert dagster.launches == []
    assert states_of(control_plane, tenant_id) == []


def test_a_run_that_dies_without_a_word_is_answered_503_and_the_request_stays_open(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id = new_tenant_id()

    def begins_and_is_killed(launch: Launch) -> list[dict[str, Any]]:
        (request,) = control_plane.requests_for(tenant_id)
        TenantRequests(control_plane.bigquery).append(event_of(request, RequestState.RUNNING, launch))
        raise TransientError(ErrorCode.UNAVAILABLE, "Send the request again: its run died.")

    dagster.work[JOB] = begins_and_is_killed

    answer = api.admin("POST", "/tenants", {"tenant_id": tenant_id})

    error = assert_is_error(answer, 503, "unavailable")
    assert error["details"]["next"]["step"] == "FINISH"
    assert states_of(control_plane, tenant_id) == [("RUNNING", 1)]


def test_the_eleventh_tenant_in_a_minute_gets_429_and_nothing_is_written(
    control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    settings = patiently(control_plane.settings).model_copy(update={"tenant_creations_per_minute": 2})
    last = new_tenant_id()
    with served(settings, dagster) as api:
        refused = api.admin("POST", "/tenants", {"tenant_id": "NOT VALID"})
        answers = [
            api.admin("POST", "/tenants", {"tenant_id": name}) for name in (new_tenant_id(), new_tenant_id())
        ]
        answers.append(api.admin("POST", "/tenants", {"tenant_id": last}))

        assert refused.status_code == 422
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[0].headers["RateLimit-Remaining"] == "1"
        error = assert_is_error(answers[2], 429, "rate_limited")
        assert error["details"] == {"limit": 2, "window": "minute"}
        assert 0 < int(answers[2].headers["Retry-After"]) <= 60
        assert answers[2].headers["RateLimit-Remaining"] == "0"
        assert len(dagster.launches) == 2
        assert states_of(control_plane, last) == []
        assert api.call("GET", "/health").status_code == 200
