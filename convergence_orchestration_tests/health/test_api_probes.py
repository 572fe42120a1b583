import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from convergence_orchestration.health.model import Measure, ProbeName, ProbeStatus
from convergence_orchestration.health.probes import api
from convergence_orchestration.health.probes.addresses import Address
from convergence_orchestration.health.probes.looking import look_at_all

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OWN = Address("https://api.example")
TAG = Address("https://blue---api.example", "api-2", 10.0)
HEALTH = {"status": "healthy", "service": "convergence-api", "version": "1.2", "environment": "staging"}
GOOD_CHECKS = {
    "key_index": {"status": "healthy", "age_seconds": 1.5},
    "tenant_index": {"status": "healthy", "age_seconds": 4},
    "dagster": {"status": "healthy", "age_seconds": 0.1},
}
HEALTHY, UNHEALTHY, UNKNOWN = ProbeStatus.HEALTHY, ProbeStatus.UNHEALTHY, ProbeStatus.UNKNOWN


def answering(
    status: int = 200, body: object = None, *, text: str | None = None, ahead: float = 0
) -> httpx.Client:
    content = text if text is not None else json.dumps(body)
    headers = {"Date": format_datetime(NOW + timedelta(seconds=ahead), usegmt=True)}
    return asked(lambda _request: httpx.Response(status, text=content, headers=headers))


def asked(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(answer))


def raising(error: Exception) -> httpx.Client:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise error

    return asked(answer)


def health(http: httpx.Client) -> tuple[ProbeStatus, str]:
    (finding,) = api.health(http, OWN, "staging", lambda: NOW)
    return finding.status, finding.message


def ready(http: httpx.Client) -> tuple[ProbeStatus, ProbeStatus]:
    readiness, age = api.ready(http, OWN)
    return readiness.status, age.status


def test_every_probe_of_an_address_says_which_revision_answered_and_its_share() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        body = {"status": "ready", "checks": GOOD_CHECKS} if request.url.path == "/health/ready" else HEALTH
        return httpx.Response(200, json=body)

    found = look_at_all(api.looks_at(asked(answer), TAG, "staging", lambda: NOW), lambda: NOW)

    assert [(one.probe, one.status, one.status_code) for one in found] == [
        (ProbeName.API_LIVE, HEALTHY, 200),
        (ProbeName.API_HEALTH, HEALTHY, 200),
        (ProbeName.API_READY, HEALTHY, 200),
        (ProbeName.INDEX_AGE, HEALTHY, 200),
    ]
    assert {one.revision for one in found} == {"api-2"}
    assert {one.measured[Measure.TRAFFIC_PERCENT] for one in found} == {10.0}
    assert found[3].measured[Measure.AGE_SECONDS] == 4.0
    assert all(one.latency_ms is not None for one in found)


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("half an answer"),
    ],
)
def test_who_cannot_be_reached_is_unknown_and_never_healthy(error: Exception) -> None:
    http = raising(error)
    assert health(http)[0] is UNKNOWN
    assert ready(http) == (UNKNOWN, UNKNOWN)
    (live,) = api.live(http, OWN)
    assert live.status is UNKNOWN


def test_an_address_that_is_none_is_unknown() -> None:
    (live,) = api.live(httpx.Client(), Address("https://[no"))
    assert live.status is UNKNOWN


def test_an_error_instead_of_an_answer_is_unhealthy() -> None:
    http = answering(503, {"error": {}})
    (live,) = api.live(http, OWN)
    assert (live.status, live.status_code, live.message) == (UNHEALTHY, 503, "It answered 503.")
    assert health(http) == (UNHEALTHY, "It answered 503.")
    assert ready(http) == (UNHEALTHY, UNKNOWN)


@pytest.mark.parametrize("text", ["", "<html>Welcome</html>", "[]", "null", '{"status": "healthy"}', "\xff"])
def test_another_programs_page_is_no_health_of_ours(text: str) -> None:
    status, words = health(answering(text=text))
    assert status is UNHEALTHY
    assert words.startswith("Look who answers there")
    assert ready(answering(text=text)) == (UNHEALTHY, UNKNOWN)


def test_an_api_of_another_environment_is_unhealthy() -> None:
    status, words = health(answering(body={**HEALTH, "environment": "production"}))
    assert (status, words) == (UNHEALTHY, "It says that it is of production, not of staging.")


def test_the_version_is_said() -> None:
    assert health(answering(body=HEALTH)) == (HEALTHY, "It is version 1.2.")


@pytest.mark.parametrize(("ahead", "words"), [(90, "90 s ahead of ours"), (-3600, "3600 s behind ours")])
def test_clocks_apart_are_unhealthy(ahead: float, words: str) -> None:
    status, message = health(answering(body=HEALTH, ahead=ahead))
    assert status is UNHEALTHY
    assert words in message


@pytest.mark.parametrize(
    ("date", "offset"),
    [
        (format_datetime(NOW + timedelta(seconds=10), usegmt=True), 10.0),
        (format_datetime(NOW - timedelta(seconds=1), usegmt=True), 0.0),
        ("yesterday", None),
        ("Mon, 23 Nov 2026 12:00:00", None),
        (None, None),
    ],
)
def test_a_clocks_offset_is_read_from_the_date_if_it_says_one(date: str | None, offset: float | None) -> None:
    assert api.clock_offset(date, NOW) == offset


def test_what_is_not_ready_is_named_with_its_reason() -> None:
    checks = {**GOOD_CHECKS, "dagster": {"status": "unknown", "age_seconds": 1, "reason": "No answer."}}
    readiness, age = api.ready(answering(503, {"status": "not_ready", "checks": checks}), OWN)
    assert (readiness.status, readiness.message) == (UNHEALTHY, "dagster: No answer.")
    assert age.status is HEALTHY


def test_a_readiness_that_contradicts_itself_is_not_believed() -> None:
    assert ready(answering(503, {"checks": GOOD_CHECKS}))[0] is UNHEALTHY
    bad = {**GOOD_CHECKS, "bigquery": {"status": "unhealthy"}}
    assert ready(answering(200, {"checks": bad}))[0] is UNHEALTHY


@pytest.mark.parametrize(
    ("index", "status"),
    [
        ({"status": "unknown", "age_seconds": None}, UNKNOWN),
        ({"status": "healthy", "age_seconds": "soon"}, UNKNOWN),
        ({"status": "healthy", "age_seconds": True}, UNKNOWN),
        ({"status": "healthy", "age_seconds": -5}, UNKNOWN),
        ({"status": "odd", "age_seconds": 1}, UNKNOWN),
        ({"status": "unhealthy", "age_seconds": 99, "reason": "Old."}, UNHEALTHY),
    ],
)
def test_an_index_of_unknown_age_is_not_healthy(index: object, status: ProbeStatus) -> None:
    checks = {**GOOD_CHECKS, "key_index": index}
    assert ready(answering(200, {"checks": checks}))[1] is status


def test_checks_that_are_none_are_no_readiness() -> None:
    assert ready(answering(200, {"checks": {}})) == (UNHEALTHY, UNKNOWN)
    assert ready(answering(200, {"checks": {"bigquery": "fine"}})) == (UNHEALTHY, UNKNOWN)
