import json
from typing import Any

import pytest

from convergence_orchestration_tests.cli.api_standin import ApiStandin, refusal
from convergence_orchestration_tests.cli.conftest import CommandLine

pytestmark = pytest.mark.usefixtures("api")

REQUEST_ID = "req_" + "a2" * 13
BATCH_ID = "bat_" + "a2" * 13


def a_request(**more: object) -> dict[str, Any]:
    return {
        "request_id": REQUEST_ID,
        "tenant_id": "acmecorp",
        "kind": "ONBOARD",
        "state": "FAILED",
        "attempt": 2,
        "parameters": {"tenant_id": "acmecorp", "plan": "SCALE", "principal": ""},
        "actor": "administrator",
        "batch_id": None,
        "requested_at": "2026-11-23T08:00:00.123456Z",
        "updated_at": "2026-11-23T08:02:05Z",
        "run_id": "run-1",
        "run_url": "http://dagster/runs/run-1",
        "reason": "Wait: BigQuery is busy.",
        "error_code": "quota_exhausted",
        "next": {
            "step": "RETRY",
            "sentence": "It is tried again by itself.",
            "retry_at": "2026-11-23T08:03:05Z",
        },
        **more,
    }


def an_event(state: str, seconds: float | None, **more: object) -> dict[str, Any]:
    return {
        "state": state,
        "attempt": 1,
        "recorded_at": "2026-11-23T08:00:00Z",
        "actor": "dagster",
        "run_id": None,
        "run_url": None,
        "reason": None,
        "error_code": None,
        "seconds": seconds,
        **more,
    }


def test_requests_are_listed_by_what_is_asked_for(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, {"requests": [a_request()], "next_before": "c1"})]

    ended = convergence(
        *("tenant", "requests", "--tenant", "acmecorp", "--state", "failed", "--kind", "ONBOARD"),
        *("--batch", BATCH_ID, "--limit", "1"),
    )

    header, row = ended.stdout.splitlines()
    assert header.split() == [
        *("requested_at", "tenant_id", "kind", "state", "attempt", "request_id", "error_code")
    ]
    assert row.split() == [
        *("2026-11-23", "08:00:00", "acmecorp", "ONBOARD", "FAILED", "2", REQUEST_ID, "quota_exhausted")
    ]
    assert "--limit 2" in ended.stderr
    assert api.sent[0].path == (
        "/api/v1/admin/tenant-requests"
        f"?limit=1&tenant_id=acmecorp&state=FAILED&kind=ONBOARD&batch_id={BATCH_ID}"
    )


def test_more_than_a_page_of_requests_follows_the_cursor(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [
        (200, {"requests": [a_request()] * 200, "next_before": "c1"}),
        (200, {"requests": [a_request()] * 10, "next_before": None}),
    ]

    ended = convergence("tenant", "requests", "--limit", "300", "--json")

    assert len(json.loads(ended.stdout)) == 210
    assert api.sent[1].path == "/api/v1/admin/tenant-requests?limit=100&before=c1"
    assert ended.stderr == ""


def test_no_requests_are_said_so(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, {"requests": [], "next_before": None})]

    assert convergence("tenant", "requests").stderr == "There are no requests yet.\n"
    assert convergence("tenant", "requests", "--tenant", "acmecorp").stderr == "There is no such request.\n"


def test_one_request_tells_its_story_and_what_is_next(convergence: CommandLine, api: ApiStandin) -> None:
    events = [
        an_event("REQUESTED", None, actor="administrator"),
        an_event("RUNNING", 0.42, run_id="run-1"),
        an_event("FAILED", 125.2, run_id="run-1", reason="Wait: BigQuery is busy."),
    ]
    durations = {"waited_seconds": 0.42, "worked_seconds": 125.2, "total_seconds": 11523.0}
    api.answers = [(200, a_request(events=events, durations=durations))]

    ended = convergence("tenant", "request", REQUEST_ID)

    assert ended.exit_code == 0
    facts, table = ended.stdout.split("\n\n")
    assert "asked for     tenant_id=acmecorp, plan=SCALE\n" in facts
    assert "waited        0.4 s\nworked        2 min 5 s\nin all        3 h 12 min\n" in facts
    assert facts.endswith("next          It is tried again by itself. At 2026-11-23 08:03:05 UTC.")
    assert table.splitlines()[1].split()[2:4] == ["REQUESTED", "1"]
    assert "2 min 5 s" in table
    assert "Wait: BigQuery is busy." in table


def test_one_request_for_programs_is_the_answer_itself(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(200, a_request())]

    assert json.loads(convergence("tenant", "request", "a/b", "--json").stdout) == a_request()
    assert api.sent[0].path == "/api/v1/admin/tenant-requests/a%2Fb"


def test_a_request_that_there_is_not_is_the_apis_sentence(convergence: CommandLine, api: ApiStandin) -> None:
    api.answers = [(404, refusal("not_found", "Check the request id: there is no such request."))]

    ended = convergence("tenant", "request", REQUEST_ID)

    assert ended.exit_code == 1
    assert ended.stderr.startswith("Check the request id")
