import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import anyio
import httpx
import pytest
from dagster_graphql.schema import create_schema
from graphql import parse, validate

import convergence_orchestration.api as api_package
from convergence_orchestration.api.dagster_client import DagsterClient
from convergence_orchestration.api.runs import RunId, RunOutcome, RunStatus
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration_tests.api.dagster_standin import (
    NO_ANSWER,
    DagsterStandIn,
    Played,
    materialized,
    played_dagster,
    step_failure,
)
from convergence_orchestration_tests.emulators import free_port


@pytest.fixture
def standin() -> Iterator[DagsterStandIn]:
    with played_dagster() as standin:
        yield standin


def ask[T](url: str, question: Callable[[DagsterClient], Awaitable[T]]) -> T:
    async def asked() -> T:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await question(DagsterClient(http, url))

    return anyio.run(asked)


def launch_and_wait(job: str, seconds: float) -> Callable[[DagsterClient], Awaitable[RunOutcome]]:
    async def question(dagster: DagsterClient) -> RunOutcome:
        return await dagster.wait(await dagster.launch(job, {}, {}), seconds)

    return question


def test_every_query_is_valid_for_the_installed_dagster() -> None:
    schema = create_schema().graphql_schema
    queries = sorted((Path(api_package.__file__).parent / "graphql").glob("*.graphql"))

    assert len(queries) == 6
    for query in queries:
        assert validate(schema, parse(query.read_text())) == [], query.name


def test_a_dagster_that_has_loaded_our_definitions_answers_the_ping(standin: DagsterStandIn) -> None:
    ask(standin.url, lambda dagster: dagster.ping())


BROKEN = [
    (500, b"Internal Server Error"),
    (400, b'{"errors": [{"message": "Cannot query field"}]}'),
    (200, b"<html>not json</html>"),
    (200, b"[]"),
    (200, b'{"data": null}'),
    (200, b'{"errors": [{"message": "it broke"}], "data": {}}'),
    (NO_ANSWER, b""),
]


@pytest.mark.parametrize("broken", BROKEN)
def test_any_answer_that_is_none_means_dagster_is_unavailable(
    standin: DagsterStandIn, broken: tuple[int, bytes]
) -> None:
    standin.broken = broken

    with pytest.raises(TransientError) as raised:
        ask(standin.url, lambda dagster: dagster.ping())

    assert raised.value.code is ErrorCode.DAGSTER_UNAVAILABLE
    assert raised.value.message.startswith("Try again in a few seconds, or look after Dagster")


def test_a_refused_connection_means_dagster_is_unavailable() -> None:
    with pytest.raises(TransientError) as raised:
        ask(f"http://127.0.0.1:{free_port()}", lambda dagster: dagster.launch("bootstrap", {}, {}))

    assert raised.value.code is ErrorCode.DAGSTER_UNAVAILABLE


@pytest.mark.parametrize(
    ("location", "says"),
    [
        (None, "knows no code location"),
        ({"__typename": "PythonError", "message": "x"}, "knows no code location"),
        ({"__typename": "WorkspaceLocationEntry", "locationOrLoadError": None}, "still loading"),
        (
            {
                "__typename": "WorkspaceLocationEntry",
                "locationOrLoadError": {
                    "__typename": "PythonError",
                    "message": "ImportError: no module\nat line 1",
                },
            },
            "does not load: ImportError: no module",
        ),
    ],
)
def test_a_code_location_that_is_not_loaded_means_dagster_is_unavailable(
    standin: DagsterStandIn, location: dict[str, object] | None, says: str
) -> None:
    standin.location = location

    with pytest.raises(TransientError, match=says):
        ask(standin.url, lambda dagster: dagster.ping())


def test_a_launch_sends_job_config_and_tags_and_returns_the_run_id(standin: DagsterStandIn) -> None:
    config = {"ops": {"fulfil": {"config": {"request_ids": ["req_a"]}}}}

    run_id = ask(
        standin.url,
        lambda dagster: dagster.launch("fulfil_tenant_requests", config, {"convergence/tenant_id": "acme"}),
    )

    (launch,) = standin.launches
    assert launch.run_id == run_id
    assert launch.job == "fulfil_tenant_requests"
    assert launch.config == config
    assert launch.tags == {"convergence/tenant_id": "acme"}


def test_a_refused_run_config_is_a_defect_of_ours(standin: DagsterStandIn) -> None:
    standin.launch_answer = {
        "__typename": "RunConfigValidationInvalid",
        "errors": [{"message": "Missing required config entry\nand so on"}],
    }

    with pytest.raises(PermanentError) as raised:
        ask(standin.url, lambda dagster: dagster.launch("fulfil_tenant_requests", {}, {}))

    assert raised.value.code is ErrorCode.INTERNAL
    assert raised.value.details == {"reasons": ["Missing required config entry"]}


@pytest.mark.parametrize(
    "answer",
    [
        {"__typename": "PipelineNotFoundError", "message": "Could not find Pipeline nope."},
        {"__typename": "PythonError", "message": "grpc error\nstack"},
        {"__typename": "UnauthorizedError"},
    ],
)
def test_a_job_that_cannot_be_launched_means_dagster_is_unavailable(
    standin: DagsterStandIn, answer: dict[str, str]
) -> None:
    standin.launch_answer = answer

    with pytest.raises(TransientError, match="cannot launch bootstrap"):
        ask(standin.url, lambda dagster: dagster.launch("bootstrap", {}, {}))


def test_a_run_that_succeeds_gives_its_materializations(standin: DagsterStandIn) -> None:
    standin.work["bootstrap"] = lambda _: [materialized("tenants", "alerts", action="created")]

    outcome = ask(standin.url, launch_and_wait("bootstrap", 5))

    assert outcome.status is RunStatus.SUCCESS
    (found,) = outcome.materializations
    assert found.asset_key == ("tenants", "alerts")
    assert found.metadata == {"action": "created"}


def test_a_run_that_fails_gives_its_first_failure_however_many_events_it_has(standin: DagsterStandIn) -> None:
    def refuse(_: object) -> list[dict[str, object]]:
        raise PermanentError(ErrorCode.TENANT_EXISTS, "Choose another id.", {"claimed_by": "req_x"})

    standin.work["fulfil_tenant_requests"] = refuse
    standin.events_in_a_page = 1

    outcome = ask(standin.url, launch_and_wait("fulfil_tenant_requests", 5))

    assert outcome.status is RunStatus.FAILURE
    assert outcome.failure is not None
    assert outcome.failure.code is ErrorCode.TENANT_EXISTS
    assert outcome.failure.details == {"claimed_by": "req_x"}


def test_a_run_that_failed_without_saying_why_may_be_tried_again(standin: DagsterStandIn) -> None:
    run_id = RunId(standin.add_run("bootstrap", "FAILURE", {}))

    outcome = ask(standin.url, lambda dagster: dagster.wait(run_id, 0))

    assert outcome.failure is not None
    assert outcome.failure.code is ErrorCode.UNAVAILABLE


def test_a_run_that_somebody_cancelled_says_so(standin: DagsterStandIn) -> None:
    run_id = RunId(standin.add_run("bootstrap", "CANCELED", {}))

    outcome = ask(standin.url, lambda dagster: dagster.wait(run_id, 0))

    assert outcome.failure is not None
    assert "cancelled" in outcome.failure.message


def test_a_run_that_never_ends_is_given_back_as_it_is_after_the_wait(standin: DagsterStandIn) -> None:
    outcome = ask(standin.url, launch_and_wait("bootstrap", 0.25))

    assert outcome.status is RunStatus.STARTED
    assert not outcome.status.is_finished


def test_a_run_is_polled_until_it_has_ended(standin: DagsterStandIn) -> None:
    run_id = RunId(standin.add_run("bootstrap", "STARTED", {}))

    async def end_it_meanwhile(dagster: DagsterClient) -> RunStatus:
        waiting = asyncio.create_task(dagster.wait(run_id, 10))
        await anyio.sleep(0.15)
        standin.runs[run_id].status = "SUCCESS"
        return (await waiting).status

    assert ask(standin.url, end_it_meanwhile) is RunStatus.SUCCESS


@pytest.mark.parametrize("operation", ["Status", "Materializations"])
def test_a_dagster_that_goes_away_while_we_wait_leaves_the_run_unknown(
    standin: DagsterStandIn, operation: str
) -> None:
    standin.work["bootstrap"] = lambda _: []
    standin.broken, standin.broken_operations = (500, b""), {operation}

    outcome = ask(standin.url, launch_and_wait("bootstrap", 0.15))

    assert outcome.status is RunStatus.UNKNOWN
    assert outcome.failure is None


def test_a_run_that_dagster_does_not_know_is_unknown(standin: DagsterStandIn) -> None:
    outcome = ask(standin.url, lambda dagster: dagster.wait(RunId("no-such-run"), 0))

    assert outcome.status is RunStatus.UNKNOWN


def test_runs_are_found_by_job_and_tag(standin: DagsterStandIn) -> None:
    run_id = standin.add_run("fulfil_tenant_requests", "FAILURE", {"convergence/request_id": "req_a"})
    standin.add_run("fulfil_tenant_requests", "STARTED", {"convergence/request_id": "req_b"})
    standin.add_run("issue_tenant_key", "STARTED", {"convergence/request_id": "req_a"})

    found = ask(
        standin.url,
        lambda dagster: dagster.tagged("fulfil_tenant_requests", "convergence/request_id", "req_a"),
    )

    assert found == {run_id: RunStatus.FAILURE}


def test_runs_that_cannot_be_listed_mean_dagster_is_unavailable(standin: DagsterStandIn) -> None:
    answer = {"data": {"runsOrError": {"__typename": "PythonError", "message": "disk full"}}}
    standin.broken = (200, json.dumps(answer).encode())

    with pytest.raises(TransientError, match="disk full"):
        ask(
            standin.url,
            lambda dagster: dagster.tagged("fulfil_tenant_requests", "convergence/request_id", "req_a"),
        )


def test_a_failure_is_read_again_if_its_run_has_more_events_than_fit_a_page(standin: DagsterStandIn) -> None:
    run_id = RunId(standin.add_run("bootstrap", "FAILURE", {}))
    error = step_failure(PermanentError(ErrorCode.PERMISSION_DENIED, "Grant the role."))
    standin.runs[run_id] = Played(
        standin.runs[run_id].launch, "FAILURE", events=[{"__typename": "X"}] * 2500 + [error]
    )

    outcome = ask(standin.url, lambda dagster: dagster.wait(run_id, 0))

    assert outcome.failure is not None
    assert outcome.failure.code is ErrorCode.PERMISSION_DENIED
