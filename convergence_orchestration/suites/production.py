"""The production suite: the guide's ten tests, which change nothing.

What belongs here: what each test expects. Whatever is written here, the client refuses every call that could change
anything (`visiting.refuse_writes`).
"""

from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from itertools import repeat
from typing import Final

from convergence_orchestration.suites import shared
from convergence_orchestration.suites.model import Case, expect
from convergence_orchestration.suites.visiting import Visit, expect_error

AVAILABILITY: Final = 0.999
P95_SECONDS: Final = 0.5
"""The guide's targets."""

_CALLS: Final = 1_000
_AT_ONCE: Final = 8
_TIMED: Final = 50
_ADMIN_PATHS: Final = (
    "/tenants",
    "/tenants/acmecorp",
    "/tenant-requests",
    "/api-keys?tenant_id=acmecorp",
    "/audit",
)
_WRONG_KEYS: Final = ("admin_wrong_key_of_the_suite", "x", "cvgadm_prod_" + "0" * 49)
_ORIGIN: Final = "https://not-ours.example"
_LIMITS: Final = "convergence_rate_limit_requests"


def availability(visit: Visit) -> None:
    """Of a thousand calls of /health at most one is not answered with 200."""

    def is_good(path: str) -> bool:
        return visit.get(path).status_code == HTTPStatus.OK

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        good = sum(pool.map(is_good, repeat("/health", _CALLS)))
    expect(good / _CALLS >= AVAILABILITY, f"{_CALLS - good} of {_CALLS} calls were not answered with 200.")


def tls_security(visit: Visit) -> None:
    """A good certificate, and answers that tell browsers not to guess."""
    shared.certificate(visit)
    for path in ("/health", "/api/v1/admin/tenants"):
        found = visit.get(path).headers.get("X-Content-Type-Options")
        expect(found == "nosniff", f"GET {path} says X-Content-Type-Options: {found}.")


def response_time(visit: Visit) -> None:
    """P95 of /health under 500 ms."""
    p95 = shared.percentile(shared.seconds_of(lambda: visit.get("/health"), _TIMED), 95)
    expect(p95 < P95_SECONDS, f"P95 of GET /health is {p95 * 1000:.0f} ms.")


def admin_endpoints_protected(visit: Visit) -> None:
    """Without the administrators' key nothing is told and nothing is done."""
    for path in _ADMIN_PATHS:
        expect_error(visit.get(f"/api/v1/admin{path}"), HTTPStatus.FORBIDDEN, f"GET {path} without a key")
    for path in ("/tenants", "/bootstrap", "/api-keys"):
        answer = visit.call("POST", f"/api/v1/admin{path}", json={})
        expect_error(answer, HTTPStatus.FORBIDDEN, f"POST {path} without a key")


def invalid_admin_keys(visit: Visit) -> None:
    """Wrong administrators' keys are refused."""
    for key in _WRONG_KEYS:
        answer = visit.get("/api/v1/admin/tenants", {"X-Admin-Key": key})
        expect_error(answer, HTTPStatus.FORBIDDEN, "A wrong administrators' key")


def not_found(visit: Visit) -> None:
    """What is not there gets 404 in the shape of every error, with the request's id."""
    for path in ("/api/v1/no-such-thing", "/no-such-thing", "/api/v1/tenants/no-such-thing"):
        answer = visit.get(path)
        expect_error(answer, HTTPStatus.NOT_FOUND, f"GET {path}")
        told = answer.json()["error"]["request_id"]
        expect(told == answer.headers.get("X-Request-ID"), f"GET {path} tells two request ids.")


def cors(visit: Visit) -> None:
    """A stranger's page may not call, neither first nor after asking."""
    asked = visit.call(
        "OPTIONS",
        "/api/v1/tenants/me",
        headers={"Origin": _ORIGIN, "Access-Control-Request-Method": "GET"},
    )
    for answer in (asked, visit.get("/health", {"Origin": _ORIGIN})):
        allowed = answer.headers.get("Access-Control-Allow-Origin")
        expect(allowed is None, f"A stranger's page may call: Access-Control-Allow-Origin is {allowed}.")


def rate_limiting_active(visit: Visit) -> None:
    """The limits of tenants are in force; that they refuse is tested where calls may be used up."""
    lines = [line for line in visit.get("/metrics").text.splitlines() if line.startswith(f"{_LIMITS}{{")]
    limits = [float(line.rpartition(" ")[2]) for line in lines]
    expect(limits, f"/metrics does not say which limits are in force ({_LIMITS}).")
    expect(all(0 < limit < float("inf") for limit in limits), f"There is a limit of {max(limits):g} calls.")


def environment_configuration(visit: Visit) -> None:
    """It is production's, says its version, and shows no interactive documentation."""
    shared.environment(visit, "production")
    for path in ("/docs", "/redoc", "/openapi.json"):
        status = visit.get(path).status_code
        expect(status == HTTPStatus.NOT_FOUND, f"GET {path} got {status} instead of 404.")


CASES = (
    Case(1, "Service availability (99.9% uptime)", availability),
    Case(2, "HTTPS/TLS security", tls_security),
    Case(3, "Response time SLA (< 500ms)", response_time),
    Case(4, "Admin endpoints protected", admin_endpoints_protected),
    Case(5, "Invalid admin keys rejected", invalid_admin_keys),
    Case(6, "API versioning", shared.versioning),
    Case(7, "Error handling (404s)", not_found),
    Case(8, "CORS configuration", cors),
    Case(9, "Rate limiting active", rate_limiting_active),
    Case(10, "Environment configuration", environment_configuration),
)
