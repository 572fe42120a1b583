"""Administrators' calls in the audit log: which rows, and what a call does whose row cannot be written."""

import time
from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute

from convergence_orchestration.api.audit_actions import ACTIONS
from convergence_orchestration.api.auth import AdministratorRoute
from convergence_orchestration.audit.log import AuditFilter
from convergence_orchestration.audit.model import ChainedRow, Outcome
from convergence_orchestration.audit.verification import verify
from convergence_orchestration.errors import ConvergenceError, ErrorCode, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.keys.model import new_key_id
from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn, played_dagster
from convergence_orchestration_tests.api.platform import (
    ADMIN_KEY,
    Api,
    ControlPlane,
    assert_is_error,
    new_tenant_id,
    patiently,
    served,
)
from convergence_orchestration_tests.emulators import EmulatedSettings, Emulator, fresh_project_id
from convergence_orchestration_tests.gcp.faults import faults

APPEND = "POST */tables/audit_log/insertAll"


def rows_of(api: Api, request_id: str) -> list[ChainedRow]:
    """The rows of a call, in order."""
    found = api.services.audit.log.page(100, AuditFilter())
    return [row for row in reversed(found) if row.request_id == request_id]


@pytest.fixture
def impatient(api: Api) -> Iterator[Api]:
    """The API, whose audit rows are given up quickly; whatever is in doubt at the end is written."""
    audit = api.services.audit
    log = audit.trail.writer._log  # noqa: SLF001
    log._bigquery = BigQuery(api.services.bigquery.client, total_seconds=0.3)  # noqa: SLF001
    yield api
    audit.trail.writer.flush()


def test_every_administrators_route_has_a_name_in_the_log(api: Api) -> None:
    routes = [
        route
        for included in api.app.routes
        for route in getattr(getattr(included, "original_router", None), "routes", [])
        if isinstance(route, APIRoute)
    ]
    names = [route.name for route in routes if isinstance(route, AdministratorRoute)]

    assert sorted(names) == sorted(ACTIONS), "add the route to api/audit_actions.py"
    assert len({action.name for action in ACTIONS.values()}) == len(names)
    unaudited = {route.path for route in routes if not isinstance(route, AdministratorRoute)}
    assert not [path for path in unaudited if "/admin" in path]


def test_a_change_has_a_row_before_it_begins_and_one_before_its_answer(api: Api) -> None:
    tenant_id = new_tenant_id()

    answer = api.admin("POST", "/tenants", {"tenant_id": tenant_id}, **{"X-Request-ID": f"make-{tenant_id}"})

    before, after = rows_of(api, f"make-{tenant_id}")
    assert answer.status_code == 200, answer.text
    assert (before.outcome, after.outcome) == (Outcome.ATTEMPTED, Outcome.SUCCEEDED)
    assert (before.status_code, after.status_code) == (None, 200)
    for row in (before, after):
        assert (row.action, row.actor_kind, row.actor) == ("tenant.create", "ADMIN_KEY", "administrator")
        assert (row.target_kind, row.target_id, row.tenant_id) == ("tenant", tenant_id, tenant_id)
        assert (row.method, row.path, row.source_address) == ("POST", "/api/v1/admin/tenants", "127.0.0.1")
        assert row.environment == "development"
    assert (before.run_id, after.run_id) == (None, answer.json()["run_id"])
    assert after.details == f'{{"request_id":"{answer.json()["request_id"]}"}}'


def test_a_read_has_one_row_and_a_refusal_its_code(api: Api) -> None:
    api.admin("GET", "/tenants/nobody_here", **{"X-Request-ID": "read-nobody"})

    (row,) = rows_of(api, "read-nobody")

    assert (row.action, row.outcome, row.error_code, row.status_code) == (
        "tenant.read",
        Outcome.REFUSED,
        "tenant_not_found",
        404,
    )


@pytest.mark.parametrize("body", [b"{", b'{"tenant_id": 7}', b"\xff"])
def test_a_body_that_is_not_valid_is_recorded_as_refused(api: Api, body: bytes) -> None:
    headers = {
        "X-Admin-Key": ADMIN_KEY,
        "Content-Type": "application/json",
        "X-Request-ID": f"bad-{body.hex()}",
    }
    answer = api.call("POST", "/api/v1/admin/tenants", content=body, headers=headers)

    rows = rows_of(api, f"bad-{body.hex()}")

    assert [(row.outcome, row.error_code) for row in rows] == [
        (Outcome.ATTEMPTED, None),
        (Outcome.REFUSED, answer.json()["error"]["code"]),
    ]
    assert answer.status_code in {400, 422}


def test_a_key_in_a_path_is_in_no_row(api: Api, control_plane: ControlPlane) -> None:
    key = api.known_key(control_plane.tenant())
    for number, named in enumerate(
        (key["api_key"], f" {key['api_key']}", key["tenant_api_key_hash"], key["api_key"][8:])
    ):
        api.admin("DELETE", f"/api-keys/{named}", **{"X-Request-ID": f"mistaken-{key['key_id']}-{number}"})
        rows = rows_of(api, f"mistaken-{key['key_id']}-{number}")
        assert len(rows) == 2
        for row in rows:
            assert key["tenant_api_key_hash"] not in repr(row.path) + repr(row.target_id) + repr(row.details)
            assert key["api_key"][12:] not in repr(row)
            assert row.path is not None
            assert row.path.endswith("...")


def test_the_delivery_of_a_key_is_recorded_before_it(api: Api, control_plane: ControlPlane) -> None:
    tenant_id = control_plane.tenant()

    issued = api.issue_key(tenant_id)

    found = api.services.audit.log.page(100, AuditFilter(tenant_id=tenant_id))
    assert [(row.action, row.outcome) for row in reversed(found)] == [
        ("key.issue", Outcome.ATTEMPTED),
        ("key.delivered", Outcome.ATTEMPTED),
        ("key.issue", Outcome.SUCCEEDED),
    ]
    assert {row.target_id for row in found[:-1]} == {issued["key_id"]}
    assert issued["api_key"] not in repr(found)


def test_a_caller_without_the_key_is_recorded_as_unknown_and_does_not_wait(api: Api) -> None:
    answer = api.call(
        "GET", "/api/v1/admin/tenants", headers={"X-Request-ID": "stranger", "X-Admin-Key": "wrong"}
    )

    assert_is_error(answer, 403, "forbidden")
    deadline = time.monotonic() + 20
    while not (rows := rows_of(api, "stranger")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (row,) = rows
    assert (row.action, row.actor, row.outcome, row.error_code) == (
        "tenant.list",
        "unknown",
        Outcome.REFUSED,
        "forbidden",
    )


def test_nothing_happens_without_the_row_before_it(impatient: Api, local_bigquery: Emulator) -> None:
    api, tenant_id = impatient, new_tenant_id()
    with faults(local_bigquery, {"method": APPEND, "code": 503}):
        answer = api.admin("POST", "/tenants", {"tenant_id": tenant_id})
        read = api.admin("GET", "/tenants")

    error = assert_is_error(answer, 503, "unavailable")
    assert error["message"].startswith("Send it again in a few seconds: nothing was done.")
    assert error["details"] == {"cause": "unavailable"}
    assert answer.headers["Retry-After"]
    assert api.dagster.launches == []
    assert api.services.tenants.get(tenant_id) is None  # type: ignore[arg-type] # a plain text will do
    assert_is_error(read, 503, "unavailable")


def test_an_answer_without_its_row_is_not_given_and_the_row_comes_later(
    impatient: Api, local_bigquery: Emulator
) -> None:
    api, tenant_id = impatient, new_tenant_id()
    headers = {"X-Request-ID": f"lost-{tenant_id}"}
    with faults(local_bigquery, {"method": APPEND, "body": ["SUCCEEDED"], "code": 503}):
        answer = api.admin("POST", "/tenants", {"tenant_id": tenant_id}, **headers)

    error = assert_is_error(answer, 503, "unavailable")
    assert "it was perhaps done" in error["message"]
    again = api.admin("GET", f"/tenants/{tenant_id}")
    assert again.status_code == 200, again.text
    assert [row.outcome for row in rows_of(api, f"lost-{tenant_id}")] == [
        Outcome.ATTEMPTED,
        Outcome.SUCCEEDED,
    ]
    own = api.services.audit.trail.writer.writer_id
    found = verify(
        list(api.services.audit.log.in_order())
    )  # the rows of all: an opening names the others' last ones
    assert [finding for finding in found if finding.writer_id == own] == []


def test_pages_are_filtered_and_continued(api: Api) -> None:
    for number in range(3):
        api.admin("GET", "/tenant-requests", **{"X-Request-ID": f"listing-{number}"})

    first = api.admin(
        "GET", "/audit?limit=2&action=request.list&actor=administrator&outcome=SUCCEEDED"
    ).json()
    second = api.admin("GET", f"/audit?limit=2&action=request.list&before={first['next_before']}").json()

    rows = [*first["rows"], *second["rows"]]
    assert [row["request_id"] for row in rows][:3] == ["listing-2", "listing-1", "listing-0"]
    assert {row["action"] for row in rows} == {"request.list"}
    now = rows[0]["recorded_at"].replace("+", "%2B")
    assert api.admin("GET", f"/audit?until={now}&action=request.list").json()["rows"][0] == rows[1]
    assert api.admin("GET", "/audit?tenant_id=nobody_at_all").json() == {"rows": [], "next_before": None}
    assert api.admin("GET", "/audit?limit=1").json()["rows"][0]["action"] == "audit.list"


@pytest.mark.parametrize(
    "query",
    [
        "tenant_id=Acme",
        "outcome=DONE",
        "since=yesterday",
        "since=2026-11-23T00:00:00",
        "since=2026-11-23T00:00:00Z&until=2026-11-22T00:00:00Z",
        "limit=0",
        "before=nonsense",
        "before=MjAyNi0xMS0yMw==",
        "action=a%20b",
        "actor=",
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(api: Api, query: str) -> None:
    assert_is_error(api.admin("GET", f"/audit?{query}"), 422, "invalid_argument")


def test_tenants_own_calls_leave_no_row(api: Api, control_plane: ControlPlane) -> None:
    tenant_id = control_plane.tenant()
    key = api.known_key(tenant_id)

    assert api.me(key["api_key"]).status_code == 200

    assert api.services.audit.log.page(10, AuditFilter(tenant_id=tenant_id)) == []


def test_the_first_bootstrap_is_let_through_and_recorded_when_the_log_is_there(
    emulated_settings: EmulatedSettings,
) -> None:
    settings = patiently(emulated_settings(fresh_project_id()))
    with played_dagster() as dagster, served(settings, dagster) as api:
        assert_is_error(api.admin("GET", "/tenants"), 409, "not_bootstrapped")
        assert_is_error(api.admin("POST", "/tenants", {"tenant_id": "acme"}), 409, "not_bootstrapped")
        assert dagster.launches == []
        _fails_and_is_recorded_later(api, dagster)
        dagster.work["bootstrap"] = lambda _: []  # it says that it is done, and there is no log
        refused = assert_is_error(api.admin("POST", "/bootstrap"), 503, "unavailable")
        assert "perhaps done" in refused["message"]
        dagster.work["bootstrap"] = ControlPlane(settings).bootstrap

        answer = api.admin("POST", "/bootstrap", **{"X-Request-ID": "third"})

        assert answer.status_code == 200, answer.text
        rows = rows_of(api, "third")
        assert [(row.action, row.outcome) for row in rows] == [
            ("bootstrap", Outcome.ATTEMPTED),
            ("bootstrap", Outcome.SUCCEEDED),
        ]
        assert rows[0].recorded_at < rows[1].recorded_at
        assert api.services.audit.later.write()
        assert [row.outcome for row in rows_of(api, "first")] == [Outcome.ATTEMPTED, Outcome.FAILED]


def _fails_and_is_recorded_later(api: Api, dagster: DagsterStandIn) -> None:
    def fail(_: object) -> list[dict[str, object]]:
        failure: ConvergenceError = TransientError(ErrorCode.UNAVAILABLE, "Try again: KMS is down.")
        raise failure

    dagster.work["bootstrap"] = fail
    error = assert_is_error(api.admin("POST", "/bootstrap", **{"X-Request-ID": "first"}), 503, "unavailable")
    assert error["message"] == "Try again: KMS is down."
    assert new_key_id() not in error["message"]
