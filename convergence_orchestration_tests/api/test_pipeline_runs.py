from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from convergence_orchestration.keys.model import Scope
from convergence_orchestration.tenancy.model import PLAN_LIMITS, Plan, PlanLimits, TenantId
from convergence_orchestration.tenancy.pipelines.attempt import PipelineAttempt
from convergence_orchestration.tenancy.pipelines.model import (
    Pipeline,
    PipelineRunEvent,
    PipelineState,
    parse_pipeline_asked,
    parse_pipeline_run_id,
    pipeline_run_id,
)
from convergence_orchestration.warehouse.model import tenant_dataset
from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn, Materializations
from convergence_orchestration_tests.api.own_dataset import RUNS, OwnCalls, own_calls, provisioned
from convergence_orchestration_tests.api.platform import Api, ControlPlane, assert_is_error, patiently, served

JOB = "tenant_pipeline"


@pytest.fixture
def mine(api: Api, control_plane: ControlPlane) -> Iterator[OwnCalls]:
    """A STARTER tenant: 6 runs a day, 3 at once. Its runs stay STARTED unless the test gives the job work."""
    tenant_id = provisioned(control_plane)
    yield own_calls(api, tenant_id)
    control_plane.bigquery.delete_dataset(tenant_dataset(tenant_id))


def limits_of(plan: Plan) -> PlanLimits:
    return PLAN_LIMITS[plan]


def carried_out(mine: OwnCalls, config: dict[str, Any], run_id: str) -> Materializations:
    """What the job does."""
    attempt = PipelineAttempt(
        bigquery=mine.api.services.bigquery,
        tenant_id=TenantId(config["tenant_id"]),
        pipeline_run_id=config["pipeline_run_id"],
        asked=parse_pipeline_asked(
            config["pipeline"], {"tables": config["tables"], "max_age_hours": config["max_age_hours"]}
        ),
        run_id=run_id,
        is_last_try=True,
        clock=mine.api.clock,
    )
    attempt.carry_out()
    return []


def end_all(dagster: DagsterStandIn, status: str = "FAILURE") -> None:
    for run in dagster.runs.values():
        run.status = status


def test_a_run_is_counted_launched_and_found(mine: OwnCalls, dagster: DagsterStandIn) -> None:
    answer = mine.start({"pipeline": "data_quality", "parameters": {"tables": ["step_logs"]}})

    assert answer.status_code == 202, answer.text
    body = answer.json()
    (launch,) = dagster.launches
    assert launch.job == JOB
    assert launch.op_config() == {
        "tenant_id": mine.tenant_id,
        "pipeline_run_id": body["pipeline_run_id"],
        "pipeline": "data_quality",
        "tables": ["step_logs"],
        "max_age_hours": 24,
    }
    assert launch.tags == {
        "convergence/tenant_id": mine.tenant_id,
        "convergence/pipeline_run_id": body["pipeline_run_id"],
        "convergence/call_id": answer.headers["X-Request-ID"],
    }
    assert body.keys() == {"pipeline_run_id", "state", "run_id", "quota"}
    assert (body["state"], body["run_id"]) == ("QUEUED", launch.run_id)
    assert body["quota"]["runs_today"].items() >= {"used": 1, "limit": 6, "left": 5}.items()
    assert body["quota"]["runs_at_once"] == {
        "live": 1,
        "limit": 3,
        "live_runs": [body["pipeline_run_id"]],
    }
    found = mine.get(answer.headers["Location"]).json()
    assert (found["state"], found["parameters"]["tables"]) == ("QUEUED", ["step_logs"])
    usage = mine.get("/api/v1/tenants/me/usage").json()
    assert usage["quota"] == body["quota"]
    assert [day["pipeline_runs"] for day in usage["days"]] == [1]


def test_runs_beyond_those_at_once_are_refused_with_the_live_ones(
    mine: OwnCalls, dagster: DagsterStandIn
) -> None:
    live = [mine.start().json()["pipeline_run_id"] for _ in range(3)]

    answer = mine.start()

    error = assert_is_error(answer, 429, "quota_exceeded")
    assert sorted(error["details"]["live_runs"]) == sorted(live)
    assert error["details"]["limit"] == "concurrent_runs"
    assert 0 < int(answer.headers["Retry-After"]) < 60
    assert len(dagster.launches) == 3


def test_a_run_beyond_those_of_the_day_is_refused_until_midnight(mine: OwnCalls) -> None:
    mine.has_used_today(6)

    answer = mine.start()

    error = assert_is_error(answer, 429, "quota_exceeded")
    midnight = (mine.api.clock() + timedelta(days=1)).strftime("%Y-%m-%dT00:00:00+00:00")
    assert error["details"] == {
        "limit": "runs_per_day",
        "allowed": 6,
        "used": 6,
        "resets_at": midnight,
    }
    assert 0 < int(answer.headers["Retry-After"]) <= 86_400
    mine.api.go_ahead(timedelta(days=1))
    assert mine.start().status_code == 202


def test_the_place_of_a_run_that_ended_without_a_word_is_given_back_when_it_is_wanted(
    mine: OwnCalls, dagster: DagsterStandIn
) -> None:
    first = mine.start().json()["pipeline_run_id"]
    dagster.runs[dagster.launches[0].run_id].status = "CANCELED"
    assert [mine.start().status_code for _ in range(2)] == [202, 202]
    assert mine.get(f"{RUNS}/{first}").json()["state"] == "QUEUED"

    assert mine.start().status_code == 202

    ended = mine.get(f"{RUNS}/{first}").json()
    assert (ended["state"], ended["reason"]) == ("FAILED", "Start it again: it ended without a word.")
    (today,) = mine.get("/api/v1/tenants/me/usage").json()["days"]
    assert (today["pipeline_runs"], today["failed_runs"]) == (4, 1)


def test_the_place_of_a_run_whose_end_is_written_is_given_back_without_asking_dagster(
    mine: OwnCalls, dagster: DagsterStandIn
) -> None:
    runs = [parse_pipeline_run_id(mine.start().json()["pipeline_run_id"]) for _ in range(3)]
    end = PipelineRunEvent(
        runs[0], Pipeline.DATA_QUALITY, PipelineState.SUCCEEDED, mine.api.clock(), rows_written=4
    )
    mine.history.append(end)
    dagster.broken, dagster.broken_operations = (500, b""), {"Tagged"}

    assert mine.start().status_code == 202

    (today,) = mine.get("/api/v1/tenants/me/usage").json()["days"]
    assert (today["pipeline_runs"], today["failed_runs"], today["rows_written"]) == (4, 0, 4)


def test_nothing_is_given_back_while_dagster_cannot_be_asked(mine: OwnCalls, dagster: DagsterStandIn) -> None:
    for _ in range(3):
        mine.start()
    end_all(dagster)
    dagster.broken = (500, b"")

    assert_is_error(mine.start(), 429, "quota_exceeded")

    dagster.broken = None
    assert mine.start().status_code == 202


def test_a_run_that_was_counted_and_never_launched_makes_room_after_a_while(mine: OwnCalls) -> None:
    now = mine.api.clock()
    mine.days.open(now)
    for number in range(3):
        run = pipeline_run_id(mine.tenant_id, f"cut off {number}".replace(" ", "-"))
        assert mine.days.count(run, limits_of(Plan.STARTER), now)
    assert_is_error(mine.start(), 429, "quota_exceeded")

    mine.api.go_ahead(timedelta(minutes=3))

    answer = mine.start()
    assert answer.status_code == 202
    assert answer.json()["quota"]["runs_today"]["used"] in {1, 2}  # 2 if midnight was in between


def test_the_same_idempotency_key_is_the_same_run(mine: OwnCalls, dagster: DagsterStandIn) -> None:
    first, again = mine.start(idempotency_key="nightly-1"), mine.start(idempotency_key="nightly-1")

    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
    assert len(dagster.launches) == 1
    other = {"pipeline": "data_quality", "parameters": {"max_age_hours": 1}}
    assert_is_error(mine.start(other, "nightly-1"), 409, "idempotency_key_reused")
    assert (
        mine.start(idempotency_key="nightly-2").json()["pipeline_run_id"] != first.json()["pipeline_run_id"]
    )


@pytest.mark.parametrize("was_launched", [True, False])
def test_a_call_that_was_cut_off_is_finished_by_its_idempotency_key(
    mine: OwnCalls, dagster: DagsterStandIn, *, was_launched: bool
) -> None:
    run, now = pipeline_run_id(mine.tenant_id, "nightly"), mine.api.clock()
    mine.days.open(now)
    mine.days.count(run, limits_of(Plan.STARTER), now)
    before = dagster.add_run(JOB, "STARTED", {"convergence/pipeline_run_id": run}) if was_launched else None

    answer = mine.start(idempotency_key="nightly")

    assert answer.status_code == 202
    assert len(dagster.runs) == 1
    assert before in {None, answer.json()["run_id"]}
    assert answer.json()["quota"]["runs_today"]["used"] == 1
    assert mine.get(f"{RUNS}/{run}").json()["state"] == "QUEUED"


def test_a_run_that_dagster_does_not_take_is_not_counted_and_the_same_key_starts_it_later(
    mine: OwnCalls, dagster: DagsterStandIn
) -> None:
    dagster.broken = (500, b"")

    answer = mine.start(idempotency_key="nightly")

    error = assert_is_error(answer, 503, "unavailable")
    assert "Dagster" not in error["message"]
    assert int(answer.headers["Retry-After"]) > 0
    usage = mine.get("/api/v1/tenants/me/usage").json()
    assert usage["quota"]["runs_today"]["used"] == usage["quota"]["runs_at_once"]["live"] == 0
    assert mine.get(RUNS).json()["pipeline_runs"] == []
    dagster.broken = None
    assert mine.start(idempotency_key="nightly").status_code == 202


def test_a_run_that_began_though_dagsters_answer_was_lost_is_answered_as_begun(
    mine: OwnCalls, dagster: DagsterStandIn
) -> None:
    dagster.work[JOB] = lambda launch: carried_out(mine, launch.op_config(), launch.run_id)
    dagster.loses_launch_answers = True

    answer = mine.start()

    assert answer.status_code == 202, answer.text
    assert answer.json()["run_id"] == dagster.launches[0].run_id
    assert mine.get(answer.headers["Location"]).json()["state"] == "SUCCEEDED"


def test_a_run_that_never_began_behind_a_lost_answer_is_not_counted(
    mine: OwnCalls, dagster: DagsterStandIn
) -> None:
    dagster.loses_launch_answers = True

    assert_is_error(mine.start(), 503, "unavailable")

    assert mine.get("/api/v1/tenants/me/usage").json()["quota"]["runs_today"]["used"] == 0


def test_a_dozen_calls_at_once_on_two_apis_never_go_beyond_the_plan(
    mine: OwnCalls, control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    with served(patiently(control_plane.settings), dagster) as second:
        second.wait_until_keys_are_known()
        programs = [mine, own_calls(second, mine.tenant_id)]
        with ThreadPoolExecutor(12) as threads:
            answers = list(threads.map(lambda number: programs[number % 2].start(), range(12)))

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [202] * 3 + [429] * 9
    assert len(dagster.launches) == 3
    usage = mine.get("/api/v1/tenants/me/usage").json()
    assert usage["quota"]["runs_today"]["used"] == usage["quota"]["runs_at_once"]["live"] == 3


def test_runs_are_listed_the_newest_first_in_pages(mine: OwnCalls, dagster: DagsterStandIn) -> None:
    started = []
    for _ in range(3):
        started.append(mine.start().json()["pipeline_run_id"])
        end_all(dagster)

    first = mine.get(RUNS, limit=2).json()
    second = mine.get(RUNS, limit=2, before=first["next_before"]).json()

    listed = [run["pipeline_run_id"] for page in (first, second) for run in page["pipeline_runs"]]
    assert listed == started[::-1]
    assert second["next_before"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"pipeline": "nope"}, "pipeline"),
        ({"pipeline": "'; DROP TABLE usage_daily; --"}, "pipeline"),
        ({}, "pipeline"),
        ({"pipeline": "data_quality", "tenant_id": "globex"}, "tenant_id"),
        ({"pipeline": "data_quality", "parameters": {"tenant_id": "globex"}}, "parameters"),
        ({"pipeline": "data_quality", "parameters": {"tables": "step_logs"}}, "parameters.tables"),
        (
            {"pipeline": "data_quality", "parameters": {"tables": ["tenants.tenant_profiles"]}},
            "parameters.tables",
        ),
        ({"pipeline": "data_quality", "parameters": {"tables": [{"a": 1}]}}, "parameters.tables"),
        ({"pipeline": "data_quality", "parameters": {"max_age_hours": 0}}, "parameters.max_age_hours"),
        ({"pipeline": "data_quality", "parameters": {"max_age_hours": True}}, "parameters.max_age_hours"),
    ],
)
def test_a_wrong_body_is_refused_by_field_and_counts_nothing(
    api: Api, control_plane: ControlPlane, dagster: DagsterStandIn, body: dict[str, object], field: str
) -> None:
    program = own_calls(api, TenantId(control_plane.tenant()))

    answer = api.call("POST", RUNS, headers={"X-API-Key": program.key}, json=body)

    error = assert_is_error(answer, 422, "invalid_argument")
    assert [problem["field"] for problem in error["details"]] == [field]
    assert "globex" not in answer.text
    assert dagster.launches == []


def test_an_unknown_pipeline_is_refused_with_those_there_are(api: Api, control_plane: ControlPlane) -> None:
    answer = own_calls(api, TenantId(control_plane.tenant())).start({"pipeline": "nope"})
    assert "data_quality" in assert_is_error(answer, 422, "invalid_argument")["message"]


@pytest.mark.parametrize("key", ["", "two words", "x" * 256])
def test_an_idempotency_key_that_is_none_is_refused(api: Api, control_plane: ControlPlane, key: str) -> None:
    answer = own_calls(api, TenantId(control_plane.tenant())).start(idempotency_key=key)
    assert_is_error(answer, 422, "invalid_argument")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", RUNS, Scope.PIPELINES_WRITE),
        ("GET", RUNS, Scope.PIPELINES_READ),
        ("GET", f"{RUNS}/run_{'a' * 26}", Scope.PIPELINES_READ),
        ("GET", "/api/v1/tenants/me/usage", Scope.USAGE_READ),
        ("GET", "/api/v1/tenants/me/tables", Scope.TABLES_READ),
    ],
)
def test_each_call_needs_its_scope(
    api: Api, control_plane: ControlPlane, method: str, path: str, scope: Scope
) -> None:
    others = tuple(other for other in Scope if other is not scope)
    program = own_calls(api, TenantId(control_plane.tenant()), others)

    answer = api.call(
        method,
        path,
        headers={"X-API-Key": program.key},
        json={"pipeline": "data_quality"} if method == "POST" else None,
    )

    assert scope in assert_is_error(answer, 403, "forbidden")["message"]


def test_a_run_that_has_ended_shows_how(mine: OwnCalls, dagster: DagsterStandIn) -> None:
    dagster.work[JOB] = lambda launch: carried_out(mine, launch.op_config(), launch.run_id)

    answer = mine.start()

    found = mine.get(answer.headers["Location"]).json()
    assert (found["state"], found["error_code"]) == (PipelineState.SUCCEEDED, None)
    assert found["rows_written"] == 20  # three checks and a step for each of five tables
    usage = mine.get("/api/v1/tenants/me/usage").json()
    assert usage["quota"]["runs_at_once"]["live"] == 0
    assert usage["days"][0]["rows_written"] == 20
