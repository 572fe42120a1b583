"""The API as a suite calls it: with and without keys, and the tenants that a suite makes for itself and takes away again.

What belongs here: calling. What is expected of the answers is each suite's. What a suite needs but does not test is asked for
without waiting and asked about until it is there: a call that waits for its run is a slow answer in the service's latencies, and
a dozen of them among a suite's few hundred calls would convict the release that the suite is there to prove good.
"""

import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final

import httpx

from convergence_orchestration.suites.model import ExpectationError, Target, expect

PATIENCE_SECONDS: Final = 120
"""So long a call that launches a run is waited for."""

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ASYNC: Final = {"Prefer": "respond-async"}
_PAUSE_SECONDS: Final = 0.5
_SHOWN: Final = 200
_GONE: Final = frozenset({HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


class WriteRefusedError(Exception):
    """A suite that only reads was about to write; nothing was sent."""


@dataclass(frozen=True)
class MadeTenant:
    """A tenant that the suite made, and the answer that brought its key."""

    tenant_id: str
    issued: Mapping[str, Any] = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """Its key as a header."""
        return {"X-API-Key": str(self.issued["api_key"])}


class Visit:
    """One suite's calls of one API."""

    def __init__(self, target: Target, http: httpx.Client) -> None:
        self.target = target
        self.http = http
        self._made: list[str] = []

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401 httpx' own
        """Any call, as it is."""
        return self.http.request(method, self.target.url + path, **request)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """GET."""
        return self.call("GET", path, headers=dict(headers or {}))

    def admin(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """Call `/api/v1/admin{path}` with the administrators' key, and wait for its run."""
        if self.target.admin_key is None:
            raise ExpectationError("Give the administrators' key: ADMIN_API_KEY is not set.")
        sent = {
            "X-Admin-Key": self.target.admin_key.get_secret_value(),
            "Prefer": f"wait={PATIENCE_SECONDS}",
        }
        content = {} if body is None else {"json": body}
        return self.call(method, f"/api/v1/admin{path}", headers=sent | headers, **content)

    @cached_property
    def tenant(self) -> MadeTenant:
        """The tenant that the suite's cases share; made by whichever asks first."""
        return self.new_tenant()

    def new_tenant(self) -> MadeTenant:
        """A tenant of its own with a key."""
        tenant_id = self.new_tenant_id()
        self.make(tenant_id)
        issued = self.issue(tenant_id)
        expect(issued.status_code == HTTPStatus.OK, f"No key could be issued: {issued.status_code}.")
        return MadeTenant(tenant_id, issued.json())

    def new_tenant_id(self) -> str:
        """A tenant id that nobody has."""
        return f"suite_{uuid.uuid4().hex[:16]}"

    def create(self, tenant_id: str, **headers: str) -> httpx.Response:
        """POST /admin/tenants; what it made is taken away when the suite leaves."""
        self._made.append(tenant_id)
        wanted = {"tenant_id": tenant_id, "company_name": "Acceptance suite"}
        return self.admin("POST", "/tenants", wanted, **headers)

    def make(self, tenant_id: str) -> None:
        """Create a tenant, ACTIVE when this returns; creations are limited, so that the tenant is asked about."""
        answer = self.create(tenant_id, **_ASYNC)
        expect(answer.is_success, f"No tenant could be made: {shown(answer)}")
        until = time.monotonic() + PATIENCE_SECONDS
        while (state := body_of(answer).get("state")) != "ACTIVE":
            expect(time.monotonic() < until, f"After {PATIENCE_SECONDS} s a tenant to be is {state}.")
            time.sleep(_PAUSE_SECONDS)
            answer = self.admin("GET", f"/tenants/{tenant_id}")

    def issue(self, tenant_id: str) -> httpx.Response:
        """POST /admin/api-keys under an Idempotency-Key that every call for this tenant shares."""
        wanted = {"tenant_id": tenant_id, "description": "acceptance suite"}
        return self._asked_until_done("POST", "/api-keys", wanted, f"suite-{tenant_id}")

    def as_soon_as(
        self, status: int, path: str, headers: Mapping[str, str], patience: float = 10
    ) -> httpx.Response:
        """GET until it is answered with `status`, for `patience` seconds; the last answer."""
        until = time.monotonic() + patience
        while (answer := self.get(path, headers)).status_code != status and time.monotonic() < until:
            time.sleep(0.2)
        return answer

    def offboard(self, tenant_id: str) -> httpx.Response:
        """DELETE a tenant that was made here, its dataset to go with the next look at what is due."""
        leaving = f"/tenants/{tenant_id}?confirm={tenant_id}&retention_days=0"
        answer = self._asked_until_done("DELETE", leaving, None, f"suite-leaves-{tenant_id}")
        if answer.status_code in _GONE:
            self._made.remove(tenant_id)
        return answer

    def leave(self) -> tuple[str, ...]:
        """Offboard every tenant that was made and is still there; those that could not be."""
        for tenant_id in tuple(self._made):
            with suppress(httpx.HTTPError):
                self.offboard(tenant_id)
        return tuple(self._made)

    def _asked_until_done(self, method: str, path: str, body: object, key: str) -> httpx.Response:
        """The same request, again and again, until its run is over; the last answer."""
        headers = {**_ASYNC, "Idempotency-Key": key}
        until = time.monotonic() + PATIENCE_SECONDS
        answer = self.admin(method, path, body, **headers)
        while answer.status_code == HTTPStatus.ACCEPTED and time.monotonic() < until:
            time.sleep(_PAUSE_SECONDS)
            answer = self.admin(method, path, body, **headers)
        return answer


def refuse_writes(request: httpx.Request) -> None:
    """A hook for a client that only reads: GET, HEAD and OPTIONS, and POST with nothing that says who calls.

    Raises:
        WriteRefusedError: it is any other call.
    """
    says_who = {"x-admin-key", "x-api-key", "authorization", "cookie"} & {
        name.lower() for name in request.headers
    }
    if request.method not in _SAFE and not (request.method == "POST" and not says_who):
        raise WriteRefusedError(f"{request.method} {request.url.path} was not sent: this suite only reads.")


def shown(answer: httpx.Response) -> str:
    """An answer in a few words; never one that brings a key."""
    return f"{answer.status_code} {answer.text[:_SHOWN]}"


def body_of(answer: httpx.Response) -> Mapping[str, Any]:
    """The answer's JSON object; empty if it is none."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def expect_error(answer: httpx.Response, status: int, what: str) -> None:
    """The answer is an error of this status in the shape of every error."""
    expect(answer.status_code == status, f"{what} got {answer.status_code} instead of {status}.")
    error = body_of(answer).get("error")
    expect(
        isinstance(error, dict) and {"code", "message", "request_id"} <= error.keys(),
        f"{what} got an error without code, message and request_id: {shown(answer)}",
    )
