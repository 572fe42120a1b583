from datetime import timedelta
from typing import Any

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.model import (
    RequestEvent,
    RequestState,
    TenantId,
    new_request_id,
    parse_new_tenant,
)
from convergence_orchestration.tenancy.requests import TenantRequests
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn, Launch
from convergence_orchestration_tests.api.platform import (
    Api,
    ControlPlane,
    assert_is_error,
    new_tenant_id,
    served,
)
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults


def assert_nothing_was_changed(plane: ControlPlane, dagster: DagsterStandIn, tenant_id: str) -> None:
    assert dagster.launches == []
    assert TenantRequests(plane.bigquery).all_for(TenantId(tenant_id)) == []
    assert plane.bigquery.get_dataset(f"tenant_{tenant_id}") is None


def requests_for(plane: ControlPlane, tenant_id: str) -> list[RequestState]:
    return [request.state for request in TenantRequests(plane.bigquery).all_for(TenantId(tenant_id))]


def test_a_tenant_is_made_by_a_run_and_answered_when_it_is_active(
    api: Api, control_plane: ControlPlane
) -> None:
    api.dagster.work["onboard_tenant"] = control_plane.onboard
    tenant_id = new_tenant_id()
    wanted = {
        "tenant_id": tenant_id,
        "company_name": "ACME",
        "admin_email": "ops@acme.example",
        "plan": "SCALE",
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
    assert launch.job == "onboard_tenant"
    assert launch.config["ops"]["onboard"]["config"]["request_id"] == body["request_id"]
    assert launch.tags["convergence/request_id"] == body["request_id"]
    assert launch.tags["convergence/tenant_id"] == tenant_id
    assert control_plane.bigquery.get_dataset(f"tenant_{tenant_id}") is not None
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_tenant_that_was_made_is_listed_and_looked_at(api: Api, control_plane: ControlPlane) -> None:
    first, second = control_plane.tenant(), control_plane.tenant()

    one = api.admin("GET", f"/tenants/{first}")
    listed = api.admin("GET", "/tenants?limit=200").json()

    assert one.status_code == 200
    assert one.json()["state"] == "ACTIVE"
    assert one.json()["dataset_id"] == f"tenant_{first}"
    assert {first, second} <= {tenant["tenant_id"] for tenant in listed["tenants"]}
    assert one.json() in listed["tenants"]


def test_pages_of_tenants_follow_each_other_by_id(api: Api, control_plane: ControlPlane) -> None:
    made = {control_plane.tenant(), control_plane.tenant(), control_plane.tenant()}

    found: list[str] = []
    after = ""
    while True:
        page = api.admin("GET", f"/tenants?limit=25{after}").json()
        found += [tenant["tenant_id"] for tenant in page["tenants"]]
        if page["next_after"] is None:
            break
        assert page["next_after"] == found[-1]
        after = f"&after={found[-1]}"

    assert found == sorted(set(found))
    assert made <= set(found)


def test_a_request_is_looked_at_by_its_id(api: Api) -> None:
    tenant_id = new_tenant_id()
    made = api.admin("POST", "/tenants", {"tenant_id": tenant_id}).json()

    answer = api.admin("GET", f"/tenant-requests/{made['request_id']}")

    assert answer.status_code == 200
    body = answer.json()
    assert body["state"] == "DONE"
    assert body["tenant_id"] == tenant_id
    assert body["run_id"] == made["run_id"]
    assert body["run_url"] == made["run_url"]
    assert body["reason"] is None


@pytest.mark.parametrize("tenant_id", ["never_made", "Not-An-Id", "tenants", "%2e%2e"])
def test_a_tenant_that_is_not_there_gets_404(api: Api, tenant_id: str) -> None:
    assert_is_error(api.admin("GET", f"/tenants/{tenant_id}"), 404, "tenant_not_found")


@pytest.mark.parametrize("request_id", ["req_" + "a" * 26, "req_short", "x"])
def test_a_request_that_is_not_there_gets_404(api: Api, request_id: str) -> None:
    assert_is_error(api.admin("GET", f"/tenant-requests/{request_id}"), 404, "not_found")


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=many", "after=" + "a" * 51])
def test_a_page_that_cannot_be_gets_422(api: Api, query: str) -> None:
    error = assert_is_error(api.admin("GET", f"/tenants?{query}"), 422, "invalid_argument")

    assert error["details"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize(
    "tenant_id", ["Acme", "ac", "1acme", "acme-corp", "a" * 51, "acme corp", "äcme", "", "acme\n"]
)
def test_an_id_that_breaks_the_pattern_gets_422(api: Api, dagster: DagsterStandIn, tenant_id: str) -> None:
    answer = api.admin("POST", "/tenants", {"tenant_id": tenant_id})

    error = assert_is_error(answer, 422, "invalid_tenant_id")
    assert error["message"].startswith("Choose a tenant id of 3 to 50 characters")
    assert error["details"] == [{"field": "tenant_id", "message": error["message"]}]
    assert dagster.launches == []


@pytest.mark.parametrize("tenant_id", ["tenants", "admin", "information_schema"])
def test_a_reserved_id_gets_422(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn, tenant_id: str
) -> None:
    error = assert_is_error(
        api.admin("POST", "/tenants", {"tenant_id": tenant_id}), 422, "reserved_tenant_id"
    )

    assert error["details"][0]["field"] == "tenant_id"
    assert_nothing_was_changed(control_plane, dagster, tenant_id)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"plan": "GOLD"}, "plan"),
        ({"plan": "starter"}, "plan"),
        ({"admin_email": "nobody"}, "admin_email"),
        ({"company_name": "a" * 201}, "company_name"),
        ({"description": "a\x00b"}, "description"),
        ({"description": 7}, "description"),
        ({"company_name": None}, "company_name"),
        ({"owner": "s3cret-value"}, "owner"),
        ({"tenant_id": 7}, "tenant_id"),
    ],
)
def test_a_field_that_is_wrong_or_unknown_gets_422_which_names_it_and_not_its_value(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn, fields: dict[str, Any], field: str
) -> None:
    tenant_id = new_tenant_id()

    answer = api.admin("POST", "/tenants", {"tenant_id": tenant_id} | fields)

    error = assert_is_error(answer, 422, "invalid_argument")
    assert [detail["field"] for detail in error["details"]] == [field]
    assert "s3cret-value" not in answer.text
    assert_nothing_was_changed(control_plane, dagster, tenant_id)


@pytest.mark.parametrize(
    "content",
    [b'{"tenant_id": "acme"', b"{'a': 1}", b"\xff\xfe", b"[" * 100_000, b'{"a": 1' + b"0" * 5000 + b"}"],
)
def test_malformed_json_gets_422(api: Api, dagster: DagsterStandIn, content: bytes) -> None:
    headers = {"X-Admin-Key": "admin_for_the_tests_alone", "Content-Type": "application/json"}

    answer = api.call("POST", "/api/v1/admin/tenants", content=content, headers=headers)

    assert_is_error(answer, 422, "malformed_json")
    assert dagster.launches == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_body_that_is_not_sent_as_json_gets_422_which_says_how(api: Api, content_type: str | None) -> None:
    headers = {"X-Admin-Key": "admin_for_the_tests_alone"} | (
        {"Content-Type": content_type} if content_type else {}
    )

    answer = api.call("POST", "/api/v1/admin/tenants", content=b'{"tenant_id": "acme"}', headers=headers)

    error = assert_is_error(answer, 422, "invalid_argument")
    assert error["details"][0]["message"].endswith("Content-Type: application/json")


def test_no_body_gets_422(api: Api) -> None:
    error = assert_is_error(api.admin("POST", "/tenants"), 422, "invalid_argument")

    assert error["details"] == [{"field": "body", "message": "is required"}]


def test_a_tenant_that_exists_gets_409(api: Api, control_plane: ControlPlane) -> None:
    tenant_id = control_plane.tenant()
    before = len(api.dagster.launches)

    answer = api.admin("POST", "/tenants", {"tenant_id": tenant_id, "plan": "SCALE"})

    assert_is_error(answer, 409, "tenant_exists")
    assert len(api.dagster.launches) == before
    assert api.admin("GET", f"/tenants/{tenant_id}").json()["plan"] == "STARTER"


def test_a_request_repeated_while_its_run_goes_on_gets_409_with_the_requests_id(
    api: Api, dagster: DagsterStandIn
) -> None:
    del dagster.work["onboard_tenant"]
    tenant_id = new_tenant_id()
    first = api.admin("POST", "/tenants", {"tenant_id": tenant_id}, Prefer="respond-async")

    second = api.admin("POST", "/tenants", {"tenant_id": tenant_id})

    error = assert_is_error(second, 409, "request_in_progress")
    assert error["details"]["request_id"] == first.json()["request_id"]
    assert len(dagster.launches) == 1


def test_a_caller_who_does_not_wait_gets_202_and_where_to_ask(api: Api, dagster: DagsterStandIn) -> None:
    del dagster.work["onboard_tenant"]

    answer = api.admin("POST", "/tenants", {"tenant_id": new_tenant_id()}, Prefer="respond-async")

    assert answer.status_code == 202
    body = answer.json()
    assert body["state"] == "PROVISIONING"
    assert body["run_id"] == dagster.launches[0].run_id
    assert answer.headers["Location"] == f"/api/v1/admin/tenant-requests/{body['request_id']}"
    asked = api.admin("GET", answer.headers["Location"].removeprefix("/api/v1/admin"))
    assert asked.json()["state"] == "REQUESTED"


def test_a_caller_who_waits_less_than_the_run_takes_gets_202(api: Api, dagster: DagsterStandIn) -> None:
    del dagster.work["onboard_tenant"]

    answer = api.admin("POST", "/tenants", {"tenant_id": new_tenant_id()}, Prefer="wait=1")

    assert answer.status_code == 202


def test_a_request_that_failed_is_tried_again_with_the_same_id_and_the_new_parameters(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id = new_tenant_id()
    dagster.work["onboard_tenant"] = fails_before_anything
    failed = api.admin("POST", "/tenants", {"tenant_id": tenant_id, "plan": "STARTER"})
    request_id = failed.json()["error"]["details"]["request_id"]
    record_failure(control_plane, request_id, tenant_id)
    dagster.work["onboard_tenant"] = control_plane.seem_to_onboard

    again = api.admin("POST", "/tenants", {"tenant_id": tenant_id, "plan": "SCALE"})

    assert again.status_code == 200, again.text
    assert again.json()["request_id"] == request_id
    assert api.admin("GET", f"/tenants/{tenant_id}").json()["plan"] == "SCALE"
    asked = api.admin("GET", f"/tenant-requests/{request_id}").json()
    assert (asked["state"], asked["attempt"]) == ("DONE", 2)


def fails_before_anything(_: Launch) -> list[dict[str, Any]]:
    raise PermanentError(
        ErrorCode.PERMISSION_DENIED, "Grant the role roles/bigquery.admin.\nMore.", {"service": "BigQuery"}
    )


def record_failure(plane: ControlPlane, request_id: str, tenant_id: str) -> None:
    """What the real job does when it fails."""
    requests = TenantRequests(plane.bigquery)
    (asked,) = requests.all_for(TenantId(tenant_id))
    assert asked.request_id == request_id
    requests.append(
        RequestEvent(
            asked.request_id,
            asked.tenant_id,
            RequestState.FAILED,
            asked.requested_at,
            "dagster",
            reason="no role",
        )
    )


def test_a_run_that_fails_is_answered_with_its_first_line_its_code_and_the_run(
    api: Api, dagster: DagsterStandIn
) -> None:
    dagster.work["onboard_tenant"] = fails_before_anything

    answer = api.admin("POST", "/tenants", {"tenant_id": new_tenant_id()})

    error = assert_is_error(answer, 502, "permission_denied")
    (launch,) = dagster.launches
    assert error["message"] == "Grant the role roles/bigquery.admin."
    assert error["details"]["run_id"] == launch.run_id
    assert error["details"]["run_url"] == f"{dagster.url}/runs/{launch.run_id}"
    assert error["details"]["service"] == "BigQuery"


def test_whoever_loses_the_claim_inside_the_run_gets_409(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id = new_tenant_id()

    def another_is_faster(launch: Launch) -> list[dict[str, Any]]:
        labels = {"request_id": new_request_id()}
        control_plane.bigquery.create_dataset(f"tenant_{tenant_id}", description="", labels=labels)
        return control_plane.onboard(launch)

    dagster.work["onboard_tenant"] = another_is_faster

    assert_is_error(api.admin("POST", "/tenants", {"tenant_id": tenant_id}), 409, "tenant_exists")


def test_a_dagster_that_is_down_gets_503_and_nothing_is_written(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id = new_tenant_id()
    dagster.broken = (502, b"")

    answer = api.admin("POST", "/tenants", {"tenant_id": tenant_id})

    assert_is_error(answer, 503, "dagster_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert_nothing_was_changed(control_plane, dagster, tenant_id)


def test_a_launch_that_fails_leaves_a_failed_request_which_can_be_sent_again(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id = new_tenant_id()
    dagster.broken, dagster.broken_operations = (500, b""), {"Launch"}

    first = api.admin("POST", "/tenants", {"tenant_id": tenant_id})
    dagster.broken = None
    states = requests_for(control_plane, tenant_id)
    second = api.admin("POST", "/tenants", {"tenant_id": tenant_id})

    assert_is_error(first, 503, "dagster_unavailable")
    assert states == [RequestState.FAILED]
    assert second.status_code == 200, second.text
    assert requests_for(control_plane, tenant_id) == [RequestState.DONE]


def test_a_launch_that_fails_and_cannot_even_be_written_down_is_continued_a_minute_later(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane, local_bigquery: Emulator
) -> None:
    tenant_id = new_tenant_id()
    dagster.broken, dagster.broken_operations = (500, b""), {"Launch"}
    second_append = {"method": "POST *insertAll", "code": 403, "reason": "accessDenied", "every": 2}
    with faults(local_bigquery, second_append):
        first = api.admin("POST", "/tenants", {"tenant_id": tenant_id})
    dagster.broken = None
    states = requests_for(control_plane, tenant_id)
    at_once = api.admin("POST", "/tenants", {"tenant_id": tenant_id})
    api.clock.ahead = timedelta(minutes=2)
    later = api.admin("POST", "/tenants", {"tenant_id": tenant_id})

    assert_is_error(first, 503, "dagster_unavailable")
    assert states == [RequestState.REQUESTED]
    assert_is_error(at_once, 409, "request_in_progress")
    assert later.status_code == 200, later.text


def test_a_request_whose_run_died_without_a_word_is_tried_again(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    del dagster.work["onboard_tenant"]
    tenant_id = new_tenant_id()
    first = api.admin("POST", "/tenants", {"tenant_id": tenant_id}, Prefer="respond-async").json()
    dagster.runs[first["run_id"]].status = "FAILURE"
    dagster.work["onboard_tenant"] = control_plane.seem_to_onboard

    second = api.admin("POST", "/tenants", {"tenant_id": tenant_id})

    assert second.status_code == 200, second.text
    assert second.json()["request_id"] == first["request_id"]


def test_a_request_that_was_started_by_hand_is_left_alone_while_its_run_goes_on(
    api: Api, dagster: DagsterStandIn, control_plane: ControlPlane
) -> None:
    tenant_id = new_tenant_id()
    run_id = dagster.add_run("onboard_tenant", "STARTED", {})
    wanted, request_id = parse_new_tenant(tenant_id), new_request_id()
    for state, parameters in ((RequestState.REQUESTED, wanted), (RequestState.RUNNING, None)):
        TenantRequests(control_plane.bigquery).append(
            RequestEvent(
                request_id,
                wanted.tenant_id,
                state,
                api.clock(),
                "dagster-ui",
                parameters=parameters,
                run_id=run_id,
            )
        )

    answer = api.admin("POST", "/tenants", {"tenant_id": tenant_id})

    assert_is_error(answer, 409, "request_in_progress")


def test_the_eleventh_tenant_in_a_minute_gets_429(
    control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    dagster.work["onboard_tenant"] = fails_before_anything
    settings = control_plane.settings.model_copy(update={"tenant_creations_per_minute": 2})
    with served(settings, dagster) as api:
        refused = api.admin("POST", "/tenants", {"tenant_id": "NOT VALID"})
        answers = [api.admin("POST", "/tenants", {"tenant_id": new_tenant_id()}) for _ in range(3)]

        assert refused.status_code == 422
        assert [answer.status_code for answer in answers] == [502, 502, 429]
        assert answers[0].headers["RateLimit-Remaining"] == "1"
        error = assert_is_error(answers[2], 429, "rate_limited")
        assert error["details"] == {"limit": 2, "window": "minute"}
        assert 0 < int(answers[2].headers["Retry-After"]) <= 60
        assert answers[2].headers["RateLimit-Remaining"] == "0"
        assert len(dagster.launches) == 2
        assert api.call("GET", "/health").status_code == 200
