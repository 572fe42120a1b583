"""Calls of the API, and its refusals as our errors.

What belongs here: HTTP for commands. Which calls there are is told by the commands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from convergence_orchestration.cli.access import Access
from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.releases.answering import client

_CONNECT_SECONDS = 10.0
_BEYOND_THE_WAIT_SECONDS = 60.0  # an answer may come later than the API promised
_PAUSE_SECONDS = 5.0  # before the next try, where the API does not say
_MAY_PASS = frozenset({429, 503, 504})
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


@dataclass(frozen=True)
class Answer:
    """What the API answered: its body and whether the run behind it still goes on (202)."""

    body: Mapping[str, Any]
    is_pending: bool


class ApiCalls:
    """The administrators' calls of one API."""

    def __init__(self, access: Access, wait_seconds: float = 30) -> None:
        self._access = access
        self._wait_seconds = wait_seconds

    def get(self, path: str, **query: str) -> Answer:
        """GET a path below /api/v1."""
        return self._send("GET", path, query=query)

    def post(
        self, path: str, body: Mapping[str, object] | None = None, idempotency_key: str | None = None
    ) -> Answer:
        """POST to a path below /api/v1; sent again with the same key it is the same request."""
        return self._send("POST", path, body=body, idempotency_key=idempotency_key)

    def put(self, path: str, body: Mapping[str, object]) -> Answer:
        """PUT to a path below /api/v1."""
        return self._send("PUT", path, body=body)

    def delete(self, path: str, **query: str) -> Answer:
        """DELETE a path below /api/v1."""
        return self._send("DELETE", path, query=query)

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        url = f"{self._access.url}/api/v1{path}"
        headers = {
            "X-Admin-Key": self._access.admin_key.get_secret_value(),
            "Prefer": f"wait={self._wait_seconds:g}",
        }
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        timeout = httpx.Timeout(self._wait_seconds + _BEYOND_THE_WAIT_SECONDS, connect=_CONNECT_SECONDS)
        try:
            with self._client(url, timeout) as http:
                response = http.request(method, url, json=body, params=query or None, headers=headers)
        except httpx.HTTPError as error:
            raise TransientError(
                ErrorCode.UNAVAILABLE,
                f"Check that the API runs (convergence status): no answer from {self._access.url} "
                f"({type(error).__name__}).",
            ) from None
        return _read(response)

    def _client(self, url: str, timeout: httpx.Timeout) -> httpx.Client:
        if self._access.authority_file is not None:
            return client(self._access.authority_file, timeout)
        # no proxy of the environment knows the way to a loopback port
        return httpx.Client(timeout=timeout, trust_env=httpx.URL(url).host not in _LOOPBACK)


def _read(response: httpx.Response) -> Answer:
    try:
        body: dict[str, Any] = response.json()
        if response.is_success:
            return Answer(body, is_pending=response.status_code == httpx.codes.ACCEPTED)
        raise _refusal(body["error"], response)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PermanentError(
            ErrorCode.INTERNAL,
            f"Check the API's address: {response.request.url.host} answered {response.status_code}, "
            "and not as this API does.",
        ) from None


def _refusal(error: Mapping[str, Any], response: httpx.Response) -> ConvergenceError:
    """The API's error as ours; `details` are its own, those of a 422 as `fields`."""
    details = error.get("details")
    lines = [str(error["message"])]
    if isinstance(details, list):
        lines += [f"  {problem['field']}: {problem['message']}" for problem in details]
    elif isinstance(details, dict) and details.get("run_url"):
        lines.append(f"  run: {details['run_url']}")
    lines.append(f"  request id: {error['request_id']}")
    message = "\n".join(lines)
    code = str(error.get("code"))
    known = ErrorCode(code) if code in ErrorCode else ErrorCode.INTERNAL
    facts = {"fields": details} if isinstance(details, list) else details
    if response.status_code not in _MAY_PASS:
        return PermanentError(known, message, facts)
    return TransientError(known, message, facts, _seconds_to_wait(response))


def _seconds_to_wait(response: httpx.Response) -> float:
    stated = response.headers.get("Retry-After", "")
    return float(stated) if stated.isdecimal() else _PAUSE_SECONDS
