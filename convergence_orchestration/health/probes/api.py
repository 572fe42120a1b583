"""Asking the API at one address: live, ready, its versioned health, and how old its indexes are.

What belongs here: what each answer means. The body of another program is no health of ours, and neither is half of ours.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import httpx

from convergence_orchestration.health.model import Measure, ProbeName, ProbeStatus
from convergence_orchestration.health.probes.addresses import Address
from convergence_orchestration.health.probes.looking import Finding, Look, Subject, unknown

MOST_CLOCK_OFFSET_SECONDS = 30.0
"""Clocks further apart make ages and expiries wrong."""

_LIVE, _READY, _HEALTH = "/health/live", "/health/ready", "/api/v1/health"
_INDEXES = ("key_index", "tenant_index")
_STATUSES = {
    "healthy": ProbeStatus.HEALTHY,
    "unhealthy": ProbeStatus.UNHEALTHY,
    "unknown": ProbeStatus.UNKNOWN,
}

type Clock = Callable[[], datetime]


def looks_at(http: httpx.Client, address: Address, environment: str, clock: Clock) -> list[Look]:
    """Everything that is asked at one address."""

    def subject(probe: ProbeName) -> Subject:
        return Subject(probe, address.uri, environment, address.revision)

    ask_ready = partial(ready, http, address)
    return [
        Look((subject(ProbeName.API_LIVE),), partial(live, http, address)),
        Look((subject(ProbeName.API_HEALTH),), partial(health, http, address, environment, clock)),
        Look((subject(ProbeName.API_READY), subject(ProbeName.INDEX_AGE)), ask_ready),
    ]


def live(http: httpx.Client, address: Address) -> Sequence[Finding]:
    """Whether a process answers."""
    answer = _get(http, address, _LIVE)
    if isinstance(answer, Finding):
        return [answer]
    if answer.status_code == httpx.codes.OK:
        return [_found(answer, ProbeStatus.HEALTHY, "", address)]
    return [_found(answer, ProbeStatus.UNHEALTHY, f"It answered {answer.status_code}.", address)]


def health(http: httpx.Client, address: Address, environment: str, clock: Clock) -> Sequence[Finding]:
    """Whether it is our API, of this environment, with a version and a clock like ours."""
    answer = _get(http, address, _HEALTH)
    if isinstance(answer, Finding):
        return [answer]
    offset = clock_offset(answer.headers.get("date"), clock())
    measured = {} if offset is None else {Measure.CLOCK_OFFSET_SECONDS: offset}
    wrong = _wrong_health(answer, environment, offset)
    status = ProbeStatus.UNHEALTHY if wrong else ProbeStatus.HEALTHY
    words = wrong or f"It is version {_body(answer)['version']}."
    return [_found(answer, status, words, address, measured)]


def ready(http: httpx.Client, address: Address) -> Sequence[Finding]:
    """Whether what it needs is there; and the age of its indexes, from the same answer."""
    answer = _get(http, address, _READY)
    if isinstance(answer, Finding):
        return [answer, answer]
    checks = _checks(answer)
    if checks is None:
        words = f"It answered {answer.status_code}, and no readiness of ours."
        nothing = _found(answer, ProbeStatus.UNHEALTHY, words, address)
        return [nothing, unknown("Its readiness could not be read.")]
    bad = {name: check for name, check in checks.items() if check.get("status") != "healthy"}
    is_ready = answer.status_code == httpx.codes.OK and not bad
    words = " ".join(f"{name}: {check.get('reason') or check.get('status')}" for name, check in bad.items())
    status = ProbeStatus.HEALTHY if is_ready else ProbeStatus.UNHEALTHY
    if not is_ready and not bad:
        words = f"It answered {answer.status_code}."
    return [_found(answer, status, words, address), _index_age(answer, checks, address)]


def clock_offset(date: str | None, now: datetime) -> float | None:
    """By how many seconds the clock that wrote a Date header is ahead of ours; None without a readable one.

    The header counts whole seconds, so what is below two of them is no offset.
    """
    try:
        ahead = (parsedate_to_datetime(date or "") - now).total_seconds()
    except (ValueError, TypeError):
        return None
    return 0.0 if abs(ahead) < 2 else round(ahead, 1)  # noqa: PLR2004 see above


def _get(http: httpx.Client, address: Address, path: str) -> httpx.Response | Finding:
    try:
        return http.get(f"{address.uri}{path}")
    except httpx.TimeoutException:
        return unknown("There was no answer in time.")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return unknown(f"It was not reached: {type(error).__name__}: {error}")


def _found(
    answer: httpx.Response,
    status: ProbeStatus,
    words: str,
    address: Address,
    measured: Mapping[Measure, float] | None = None,
) -> Finding:
    shares = (
        {} if address.traffic_percent is None else {Measure.TRAFFIC_PERCENT: float(address.traffic_percent)}
    )
    return Finding(status, words, answer.status_code, {**(measured or {}), **shares})


def _wrong_health(answer: httpx.Response, environment: str, offset: float | None) -> str:
    """What is wrong with the answer; "" if nothing is."""
    if answer.status_code != httpx.codes.OK:
        return f"It answered {answer.status_code}."
    body = _body(answer)
    if body.get("status") != "healthy" or not body.get("version") or "environment" not in body:
        return "Look who answers there: its health is none of our API."
    if body["environment"] != environment:
        return f"It says that it is of {body['environment']}, not of {environment}."
    if offset is not None and abs(offset) > MOST_CLOCK_OFFSET_SECONDS:
        return (
            f"Set the clocks: its own is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} ours."
        )
    return ""


def _index_age(answer: httpx.Response, checks: Mapping[str, Mapping[str, Any]], address: Address) -> Finding:
    indexes = [checks[name] for name in _INDEXES if name in checks]
    ages = [check.get("age_seconds") for check in indexes]
    known = [float(age) for age in ages if isinstance(age, int | float) and not isinstance(age, bool)]
    if len(known) < len(_INDEXES) or min(known) < 0:
        return unknown("The API does not know how old its indexes are.")
    statuses = {_STATUSES.get(str(check.get("status")), ProbeStatus.UNKNOWN) for check in indexes}
    status = next(
        (one for one in (ProbeStatus.UNHEALTHY, ProbeStatus.UNKNOWN) if one in statuses), ProbeStatus.HEALTHY
    )
    words = " ".join(str(check["reason"]) for check in indexes if check.get("reason"))
    return _found(answer, status, words, address, {Measure.AGE_SECONDS: max(known)})


def _checks(answer: httpx.Response) -> dict[str, dict[str, Any]] | None:
    """The checks of a readiness; None for any other body."""
    checks = _body(answer).get("checks")
    if not isinstance(checks, dict) or not checks:
        return None
    return checks if all(isinstance(check, dict) for check in checks.values()) else None


def _body(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, dict) else {}
