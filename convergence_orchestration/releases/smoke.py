"""The smoke suite: a few calls that tell in seconds whether a revision is the API at all, asked on its tag.

What belongs here: calls that need no key and change nothing. The environments' whole suites are `suites`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import httpx

_PAUSE_SECONDS: Final = 0.5
_LONGEST_BODY: Final = 200


@dataclass(frozen=True)
class SmokeResult:
    """One call: whether it was answered as it shall be, and if not, how."""

    name: str
    passed: bool
    detail: str = ""


def answers(http: httpx.Client, uri: str) -> bool:
    """Whether the API is alive there."""
    try:
        return http.get(f"{uri}/health").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def smoke(
    http: httpx.Client,
    uri: str,
    environment: str,
    patience: float,
    pause: Callable[[float], None] = time.sleep,
    elapsed: Callable[[], float] = time.monotonic,
) -> tuple[SmokeResult, ...]:
    """The suite on `uri`. The first call is repeated for `patience` seconds: a new tag takes a moment to lead anywhere."""
    begun = elapsed()
    while not answers(http, uri) and elapsed() - begun < patience:
        pause(_PAUSE_SECONDS)
    return tuple(
        _tried(name, http, uri + path, found)
        for name, path, found in (
            ("health", "/health", _is_healthy),
            ("environment", "/health", lambda answer: _is_environment(answer, environment)),
            ("administration is protected", "/api/v1/admin/tenants", lambda answer: _is_refusal(answer, 403)),
            ("tenants are protected", "/api/v1/tenants/me", lambda answer: _is_refusal(answer, 401)),
            ("errors have their shape", "/api/v1/no-such-thing", lambda answer: _is_refusal(answer, 404)),
        )
    )


def _tried(name: str, http: httpx.Client, url: str, problem: Callable[[httpx.Response], str]) -> SmokeResult:
    try:
        detail = problem(http.get(url))
    except httpx.HTTPError as error:
        detail = f"It did not answer: {type(error).__name__}."
    return SmokeResult(name, not detail, detail)


def _is_healthy(answer: httpx.Response) -> str:
    healthy = answer.status_code == httpx.codes.OK and _body(answer).get("status") == "healthy"
    return "" if healthy else _shown(answer)


def _is_environment(answer: httpx.Response, environment: str) -> str:
    found = _body(answer).get("environment")
    return "" if found == environment else f"It says that it is {found}, not {environment}."


def _is_refusal(answer: httpx.Response, status: int) -> str:
    error = _body(answer).get("error")
    has_shape = isinstance(error, Mapping) and {"code", "message", "request_id"} <= error.keys()
    return "" if answer.status_code == status and has_shape else f"Not {status}: {_shown(answer)}"


def _body(answer: httpx.Response) -> Mapping[str, object]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _shown(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.text[:_LONGEST_BODY]}"
