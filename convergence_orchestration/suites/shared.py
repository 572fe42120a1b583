"""Checks that more than one suite makes, each by its own name and number.

What belongs here: functions over a `Visit` that raise ExpectationError. Which suite makes which is the suites' own.
"""

import hashlib
import ssl
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import repeat
from typing import Final
from urllib.parse import urlsplit

import httpx

from convergence_orchestration.suites import certificates
from convergence_orchestration.suites.model import expect
from convergence_orchestration.suites.visiting import Visit, body_of, expect_error, shown

CERTIFICATE_DAYS: Final = 14
"""A certificate that ends sooner is as good as expired: somebody has to renew it in time."""

_MOST_CALLS: Final = 2_000
_AT_ONCE: Final = 8


def health(visit: Visit) -> None:
    """GET and HEAD /health and /api/v1/health say that the service is healthy."""
    for path in ("/health", "/api/v1/health"):
        answer = visit.get(path)
        expect(answer.status_code == HTTPStatus.OK, f"GET {path} got {shown(answer)}")
        expect(
            body_of(answer).get("status") == "healthy", f"GET {path} does not say healthy: {shown(answer)}"
        )
        head = visit.call("HEAD", path)
        expect(head.status_code == HTTPStatus.OK, f"HEAD {path} got {head.status_code}.")


def environment(visit: Visit, name: str) -> None:
    """The service says that it is this environment's."""
    found = body_of(visit.get("/health")).get("environment")
    expect(found == name, f"/health says that this is {found}, not {name}.")


def ready(visit: Visit) -> None:
    """/health/ready says that everything the API needs is there."""
    answer = visit.get("/health/ready")
    bad = [
        name for name, check in body_of(answer).get("checks", {}).items() if check.get("status") != "healthy"
    ]
    expect(
        answer.status_code == HTTPStatus.OK, f"/health/ready got {answer.status_code}; not healthy: {bad}."
    )


def versioning(visit: Visit) -> None:
    """What is there is below /api/v1, and says its version."""
    version = body_of(visit.get("/api/v1/health")).get("version")
    expect(isinstance(version, str) and version, "/api/v1/health does not say its version.")
    for path in ("/api/v2/health", "/api/v0/health", "/admin/tenants"):
        expect_error(visit.get(path), HTTPStatus.NOT_FOUND, f"GET {path}")


def key_is_sealed_and_delivered_again(visit: Visit) -> None:
    """A key is issued under its Idempotency-Key, and the same call brings the same key, which KMS had to open.

    The key's text is compared with the hash that the platform keeps of it.
    """
    tenant_id = visit.new_tenant_id()
    visit.make(tenant_id)
    first, again = visit.issue(tenant_id), visit.issue(tenant_id)
    for what, answer in (("issuing", first), ("delivering it again", again)):
        expect(answer.status_code == HTTPStatus.OK, f"A key: {what} got {answer.status_code}.")
    key = str(first.json()["api_key"])
    expect(again.json()["api_key"] == key, "The same Idempotency-Key brought another key.")
    is_hash = hashlib.sha256(key.encode()).hexdigest() == first.json()["tenant_api_key_hash"]
    expect(is_hash, "The hash that was answered is not the key's.")


def rate_limiting(visit: Visit) -> None:
    """A tenant's calls are counted down, refused with Retry-After when they are used up; /health never is."""
    tenant = visit.new_tenant()
    me = "/api/v1/tenants/me"
    first = visit.as_soon_as(HTTPStatus.OK, me, tenant.headers)
    expect(first.status_code == HTTPStatus.OK, f"A fresh tenant's first call got {first.status_code}.")
    limit = int(first.headers.get("RateLimit-Limit", 0))
    expect(0 < limit <= _MOST_CALLS, f"RateLimit-Limit is {limit}.")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(visit.get, repeat(me, limit + 5), repeat(tenant.headers)))
    refused = [answer for answer in answers if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS]
    expect(refused, f"{len(answers) + 1} calls in a row were answered, of {limit} that are allowed.")
    expect_error(refused[0], HTTPStatus.TOO_MANY_REQUESTS, "A call too many")
    expect(
        int(refused[0].headers.get("Retry-After", 0)) > 0, "A refused call is not told when to come again."
    )
    expect(visit.get("/health").status_code == HTTPStatus.OK, "/health was limited, too.")


def certificate(visit: Visit) -> None:
    """HTTPS with TLS 1.2 or later, and a certificate of a trusted authority, for this host, that does not end soon."""
    address = urlsplit(visit.target.url)
    expect(address.scheme == "https", f"{visit.target.url} is not HTTPS.")
    expect(address.hostname, f"{visit.target.url} names no host.")
    try:
        found = certificates.look(str(address.hostname), address.port or 443, visit.target.authority_file)
    except ssl.SSLError as error:
        expect(False, f"The certificate is not trusted: {error.reason or error}.")  # noqa: FBT003 the condition
        return
    expect(found.protocol in {"TLSv1.2", "TLSv1.3"}, f"{found.protocol} was agreed upon.")
    left = found.ends_at - datetime.now(UTC)
    expect(left > timedelta(days=CERTIFICATE_DAYS), f"The certificate ends on {found.ends_at:%Y-%m-%d}.")


def seconds_of(call: Callable[[], httpx.Response], times: int) -> list[float]:
    """How long so many calls took, one after the other, the shortest first; the first is not counted."""
    call()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return sorted(taken)


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent do not exceed, interpolated between neighbours."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
