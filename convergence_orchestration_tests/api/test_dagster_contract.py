"""What the stand-in plays, compared with a real Dagster web server."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from dagster import validate_run_config

from convergence_orchestration.api.dagster_client import LOCATION, DagsterClient
from convergence_orchestration.api.runs import RunFailure, RunId, RunOutcome, RunStatus
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.tenancy.jobs import fulfil_tenant_requests
from convergence_orchestration.tenancy.launches import FULFIL_JOB, FULFIL_OP, fulfil_config
from convergence_orchestration.tenancy.request_model import RequestId
from convergence_orchestration_tests.api.test_dagster_client import ask, launch_and_wait
from convergence_orchestration_tests.emulators import free_port, stop

PATIENCE = 60
INSTANCE = """\
run_coordinator: {module: dagster._core.run_coordinator, class: DefaultRunCoordinator}
telemetry: {enabled: false}
"""
WORKSPACE = """\
load_from:
  - python_file: {{relative_path: {path}, location_name: {location}}}
"""
TERMINATE = "mutation($runId: String!) { terminateRun(runId: $runId) { __typename } }"


@pytest.fixture(scope="module")
def dagster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("dagster")
    definitions = Path(__file__).with_name("dagster_definitions.py")
    (home / "dagster.yaml").write_text(INSTANCE)
    (home / "workspace.yaml").write_text(WORKSPACE.format(path=definitions, location=LOCATION))
    port = free_port()
    webserver = str(Path(sys.executable).with_name("dagster-webserver"))
    with (home / "webserver.log").open("wb") as log:
        child = subprocess.Popen(
            [webserver, "-h", "127.0.0.1", "-p", str(port), "-w", "workspace.yaml"],
            cwd=home,
            env=os.environ | {"DAGSTER_HOME": str(home)},
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_it_answers(child, url)
        yield url
    finally:
        stop(child)


def wait_until_it_answers(child: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while child.poll() is None and time.monotonic() < deadline:
        try:
            ask(url, lambda dagster: dagster.ping())
        except TransientError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"Dagster did not come up; exit status {child.poll()}")


def outcome_of(dagster_url: str, op: str) -> RunOutcome:
    return ask(dagster_url, launch_and_wait(f"{op}_job", PATIENCE))


def test_a_success_comes_with_its_materializations(dagster_url: str) -> None:
    outcome = outcome_of(dagster_url, "succeed")

    assert outcome.status is RunStatus.SUCCESS
    (found,) = outcome.materializations
    assert found.asset_key == ("tenant", "step_logs")
    assert found.partition == "acme"
    assert found.metadata == {
        "action": "created",
        "rows": 2**40,
        "ratio": 0.5,
        "is_new": True,
        "link": "https://example.com",
        "facts": {"a": [1]},
        "columns": None,
    }


@pytest.mark.parametrize(
    ("op", "failure"),
    [
        (
            "refuse",
            RunFailure(
                ErrorCode.TENANT_EXISTS, "Choose another tenant id: acme is taken.", {"claimed_by": "req_x"}
            ),
        ),
        ("give_up", RunFailure(ErrorCode.UNAVAILABLE, "Try again: BigQuery is down.")),
        (
            "crash",
            RunFailure(
                ErrorCode.INTERNAL,
                "Report this defect with the run's link: step crash failed with ValueError: the value is wrong",
            ),
        ),
        (
            "connect",
            RunFailure(
                ErrorCode.INTERNAL,
                "Look at the run in Dagster: it failed before its first step: RuntimeError: no credentials",
            ),
        ),
    ],
)
def test_a_failure_says_what_to_do(dagster_url: str, op: str, failure: RunFailure) -> None:
    assert outcome_of(dagster_url, op).failure == failure


def test_a_cancelled_run_is_found_by_its_tag_and_says_so(dagster_url: str) -> None:
    async def cancel(dagster: DagsterClient) -> RunOutcome:
        run_id = await dagster.launch("hang_job", {}, {"convergence/request_id": "req_a"})
        while (await dagster.wait(run_id, 0.1)).status is not RunStatus.STARTED:
            pass
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
            sent = {"query": TERMINATE, "variables": {"runId": run_id}}
            answer = await http.post(f"{dagster_url}/graphql", json=sent)
        assert answer.json()["data"]["terminateRun"]["__typename"] == "TerminateRunSuccess"
        outcome = await dagster.wait(run_id, PATIENCE)
        assert await dagster.tagged("hang_job", "convergence/request_id", "req_a") == {
            run_id: RunStatus.CANCELED
        }
        assert await dagster.tagged("crash_job", "convergence/request_id", "req_a") == {}
        return outcome

    outcome = ask(dagster_url, cancel)

    assert outcome.status is RunStatus.CANCELED
    assert outcome.failure is not None


def test_requests_are_carried_out_by_a_run_launched_with_their_ids(dagster_url: str) -> None:
    config = {"ops": {FULFIL_OP: {"config": fulfil_config([RequestId("req_a"), RequestId("req_b")])}}}

    async def launched(dagster: DagsterClient) -> RunOutcome:
        run_id = await dagster.launch(FULFIL_JOB, config, {"convergence/batch_id": "bat_a"})
        outcome = await dagster.wait(run_id, PATIENCE)
        assert list(await dagster.tagged(FULFIL_JOB, "convergence/batch_id", "bat_a")) == [run_id]
        return outcome

    outcome = ask(dagster_url, launched)

    assert [item.partition for item in outcome.materializations] == ["req_a", "req_b"]


def test_the_job_takes_the_config_that_it_is_launched_with() -> None:
    config = {"ops": {FULFIL_OP: {"config": fulfil_config([RequestId("req_a")])}}}

    assert fulfil_tenant_requests.name == FULFIL_JOB
    assert validate_run_config(fulfil_tenant_requests, config)["ops"][FULFIL_OP]["config"] == {
        "request_ids": ["req_a"]
    }


def test_a_refused_run_config_is_a_defect_of_ours(dagster_url: str) -> None:
    with pytest.raises(PermanentError) as raised:
        ask(dagster_url, lambda dagster: dagster.launch("configured_job", {"ops": {}}, {}))

    assert raised.value.code is ErrorCode.INTERNAL


def test_an_unknown_job_means_that_dagster_has_not_loaded_our_definitions(dagster_url: str) -> None:
    with pytest.raises(TransientError, match="cannot launch no_such_job"):
        ask(dagster_url, lambda dagster: dagster.launch("no_such_job", {}, {}))


def test_an_unknown_run_is_unknown(dagster_url: str) -> None:
    outcome = ask(dagster_url, lambda dagster: dagster.wait(RunId("00000000-0000-0000-0000-000000000000"), 0))

    assert outcome.status is RunStatus.UNKNOWN
