"""The staging suite: the guide's ten tests of a deployed platform, which may make tenants and takes them away again.

What belongs here: what each test expects.
"""

import time
import uuid
from http import HTTPStatus
from typing import Final

from convergence_orchestration.suites import shared
from convergence_orchestration.suites.model import Case, expect
from convergence_orchestration.suites.visiting import Visit, body_of, expect_error, shown
from convergence_orchestration.warehouse.catalogue import tenant_tables

P95_SECONDS: Final = 0.2
P99_SECONDS: Final = 0.5
"""The guide's targets."""

_CALLS: Final = 50
_PIPELINE_SECONDS: Final = 90
_RUNS: Final = "/api/v1/tenants/me/pipeline-runs"
_ME: Final = "/api/v1/tenants/me"


def health_and_environment(visit: Visit) -> None:
    """The service is healthy and ready, and is staging's."""
    shared.health(visit)
    shared.environment(visit, "staging")
    shared.ready(visit)


def isolation(visit: Visit) -> None:
    """Two tenants see themselves alone, whatever they say of each other."""
    mine, other = visit.tenant, visit.new_tenant()
    for tenant in (mine, other):
        visit.as_soon_as(HTTPStatus.OK, _ME, tenant.headers)
    for path, headers in (
        (_ME, {}),
        (f"{_ME}?tenant_id={other.tenant_id}", {}),
        (_ME, {"X-Tenant-ID": other.tenant_id}),
    ):
        found = body_of(visit.get(path, mine.headers | headers)).get("tenant_id")
        expect(found == mine.tenant_id, f"GET {path} with one tenant's key tells of {found}.")
    dataset = body_of(visit.get(f"{_ME}/tables", mine.headers)).get("dataset_id")
    expect(dataset == f"tenant_{mine.tenant_id}", f"A tenant is shown the dataset {dataset}.")
    started = visit.call("POST", _RUNS, json={"pipeline": "data_quality"}, headers=other.headers)
    expect(started.status_code == HTTPStatus.ACCEPTED, f"Starting a pipeline run got {shown(started)}")
    theirs = f"{_RUNS}/{body_of(started).get('pipeline_run_id')}"
    own = visit.get(theirs, other.headers).status_code
    expect(own == HTTPStatus.OK, f"A tenant's own pipeline run got {own}.")
    expect_error(visit.get(theirs, mine.headers), HTTPStatus.NOT_FOUND, "Another tenant's pipeline run")
    admin = visit.get("/api/v1/admin/tenants", mine.headers)
    expect_error(admin, HTTPStatus.FORBIDDEN, "A tenant that asks for administrators' things")


def bigquery_access(visit: Visit) -> None:
    """The tenant's tables are there and can be read."""
    answer = visit.as_soon_as(HTTPStatus.OK, f"{_ME}/tables", visit.tenant.headers)
    expect(answer.status_code == HTTPStatus.OK, f"Looking at the tables got {shown(answer)}")
    found = {table.get("name") for table in body_of(answer).get("tables", ())}
    declared = {table.name for table in tenant_tables()}
    expect(found == declared, f"These tables are missing or too many: {sorted(map(str, found ^ declared))}.")


def logging_and_monitoring(visit: Visit) -> None:
    """A call is found again by its request id, in its answer and in the audit log, and is counted in the metrics."""
    request_id = f"suite-{uuid.uuid4().hex}"
    answer = visit.admin("GET", f"/tenants/{visit.tenant.tenant_id}", **{"X-Request-ID": request_id})
    expect(answer.headers.get("X-Request-ID") == request_id, "The answer does not carry the request's id.")
    rows = body_of(visit.admin("GET", "/audit?limit=50")).get("rows", ())
    found = [row for row in rows if row.get("request_id") == request_id]
    expect(found, "The audit log does not have the call.")
    metrics = visit.get("/metrics")
    for name in ("convergence_http_requests_total", "convergence_http_request_duration_seconds_bucket"):
        expect(name in metrics.text, f"/metrics does not have {name}.")


def performance(visit: Visit) -> None:
    """Health and a tenant's own calls keep the guide's targets: P95 under 200 ms, P99 under 500 ms."""
    tenant = visit.tenant
    visit.as_soon_as(HTTPStatus.OK, _ME, tenant.headers)
    for path, headers in (("/health", {}), (_ME, tenant.headers)):
        taken = shared.seconds_of(lambda path=path, headers=headers: visit.get(path, headers), _CALLS)  # type: ignore[misc]
        p95, p99 = shared.percentile(taken, 95), shared.percentile(taken, 99)
        expect(p95 < P95_SECONDS, f"P95 of GET {path} is {p95 * 1000:.0f} ms.")
        expect(p99 < P99_SECONDS, f"P99 of GET {path} is {p99 * 1000:.0f} ms.")


def error_handling(visit: Visit) -> None:
    """Whatever is wrong is told in one shape, with the status that fits."""
    expect_error(visit.get("/api/v1/no-such-thing"), HTTPStatus.NOT_FOUND, "An unknown path")
    expect_error(
        visit.call("PATCH", "/api/v1/health"), HTTPStatus.METHOD_NOT_ALLOWED, "A method that is not served"
    )
    expect_error(
        visit.admin("POST", "/tenants", {"tenant_id": "Not-An-Id"}),
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "A wrong tenant id",
    )
    expect_error(
        visit.admin("POST", "/api-keys", {"tenant_id": "suite_nobody"}),
        HTTPStatus.NOT_FOUND,
        "A key for an unknown tenant",
    )
    again = visit.admin("POST", "/tenants", {"tenant_id": visit.tenant.tenant_id})
    expect_error(again, HTTPStatus.CONFLICT, "A tenant id that is taken")
    expect_error(visit.get(_ME, {"X-API-Key": "no key"}), HTTPStatus.UNAUTHORIZED, "A text that is no key")


def end_to_end(visit: Visit) -> None:
    """A tenant from its making to its leaving: key, pipeline run, usage, revocation, offboarding."""
    tenant = visit.new_tenant()
    me = visit.as_soon_as(HTTPStatus.OK, _ME, tenant.headers)
    expect(body_of(me).get("tenant_id") == tenant.tenant_id, f"The fresh key got {shown(me)}")
    started = visit.call("POST", _RUNS, json={"pipeline": "data_quality"}, headers=tenant.headers)
    expect(started.status_code == HTTPStatus.ACCEPTED, f"Starting a pipeline run got {shown(started)}")
    _expect_success(visit, tenant.headers, str(body_of(started).get("pipeline_run_id")))
    used = (
        body_of(visit.get(f"{_ME}/usage", tenant.headers)).get("quota", {}).get("runs_today", {}).get("used")
    )
    expect(used == 1, f"One pipeline run was counted as {used}.")
    revoked = visit.admin("DELETE", f"/api-keys/{tenant.issued['key_id']}")
    expect(revoked.status_code == HTTPStatus.OK, f"Revoking the key got {shown(revoked)}")
    refused = visit.as_soon_as(HTTPStatus.UNAUTHORIZED, _ME, tenant.headers)
    expect_error(refused, HTTPStatus.UNAUTHORIZED, "The revoked key")
    left = visit.offboard(tenant.tenant_id)
    expect(left.status_code == HTTPStatus.OK, f"Offboarding got {shown(left)}")
    state = body_of(visit.admin("GET", f"/tenants/{tenant.tenant_id}")).get("state")
    expect(state in {"OFFBOARDING", "DELETED"}, f"The tenant that left is {state}.")


def _expect_success(visit: Visit, headers: dict[str, str], pipeline_run_id: str) -> None:
    until = time.monotonic() + _PIPELINE_SECONDS
    state = "unknown"
    while state not in {"SUCCEEDED", "FAILED", "CANCELLED"} and time.monotonic() < until:
        time.sleep(1)
        state = str(body_of(visit.get(f"{_RUNS}/{pipeline_run_id}", headers)).get("state"))
    expect(state == "SUCCEEDED", f"The pipeline run is {state}.")


CASES = (
    Case(1, "HTTPS/TLS certificate validation", shared.certificate),
    Case(2, "Service health & environment", health_and_environment),
    Case(3, "KMS integration", shared.key_is_sealed_and_delivered_again),
    Case(4, "Multi-tenant isolation", isolation),
    Case(5, "Rate limiting", shared.rate_limiting),
    Case(6, "BigQuery dataset access", bigquery_access),
    Case(7, "Logging & monitoring", logging_and_monitoring),
    Case(8, "Performance (response time)", performance),
    Case(9, "Error handling", error_handling),
    Case(10, "End-to-end workflow", end_to_end),
)
