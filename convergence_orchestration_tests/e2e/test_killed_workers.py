"""Onboarding whose worker is killed, alone or with the whole platform: one tenant comes of it, without anybody's help."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from convergence_orchestration.launching.model import ProcessIdentity
from convergence_orchestration.launching.paths import launch_paths
from convergence_orchestration.launching.processes import is_alive
from convergence_orchestration.launching.records import RunRecords
from convergence_orchestration.launching.stopping import processes_of, stop
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration_tests.e2e.platform import PATIENCE, Platform, free_base_port

_RETRY = """query($id: String!) { runsOrError(filter: {tags: [{key: "dagster/parent_run_id", value: $id}]}) {
  ... on Runs { results { runId status } } } }"""
_EVENTS = """query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
  ... on MessageEvent { message } ... on LogsCapturedEvent { fileKey } } } } }"""
_OUTPUT = "query($key: [String!]!) { capturedLogs(logKey: $key) { stdout stderr } }"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    platform = Platform(tmp_path_factory.mktemp("killed") / "data", free_base_port())
    platform.up()
    try:
        assert platform.admin("POST", "/bootstrap", {}).status_code == 200
        yield platform
    finally:
        platform.down()
        assert processes_of(home_of(platform)) == []


def test_a_killed_worker_s_run_is_retried_and_makes_one_tenant(platform: Platform) -> None:
    run_id, request_id = onboard(platform, "acmecorp")

    os.kill(worker_of(platform, run_id).pid, signal.SIGKILL)

    assert_one_active_tenant(platform, "acmecorp", request_id)
    assert platform.run_status(run_id) == "FAILURE"
    assert "was ended by signal 9, SIGKILL" in messages(platform, run_id)
    [retry] = platform.graphql(_RETRY, id=run_id)["runsOrError"]["results"]
    assert retry["status"] == "SUCCESS"
    assert "is ACTIVE" in standard_error(platform, retry["runId"]), "what ops print is shown in the UI"


def test_a_run_that_waits_is_executed_though_all_of_the_launcher_s_processes_are_killed(
    platform: Platform,
) -> None:
    stop(home_of(platform))  # so that the run waits for the import
    _, request_id = onboard(platform, "initech")

    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in processes_of(home_of(platform)):
            os.kill(process.pid, number)

    assert_one_active_tenant(platform, "initech", request_id)


def test_a_platform_killed_with_its_workers_finishes_the_onboarding_when_it_is_up_again(
    platform: Platform,
) -> None:
    run_id, request_id = onboard(platform, "globex")
    worker = worker_of(platform, run_id)
    before = processes_of(home_of(platform))
    assert worker in before

    kill_everything(platform)
    platform.up()

    assert not any(is_alive(process) for process in before)
    assert_one_active_tenant(platform, "globex", request_id)
    assert platform.run_status(run_id) == "FAILURE"


def home_of(platform: Platform) -> Path:
    return platform.data_dir / "dagster"


def onboard(platform: Platform, tenant_id: str) -> tuple[str, str]:
    """Ask for a tenant without waiting: the run's id and the request's."""
    answer = platform.admin("POST", "/tenants", {"tenant_id": tenant_id}, Prefer="respond-async")
    assert answer.status_code == 202, answer.text
    return answer.json()["run_id"], answer.json()["request_id"]


def worker_of(platform: Platform, run_id: str) -> ProcessIdentity:
    """The run's worker, once it has begun to execute it."""
    records = RunRecords(launch_paths(home_of(platform)).runs)
    eventually(lambda: platform.run_status(run_id) == "STARTED")
    record = records.worker(run_id)
    assert record is not None
    return record.process


def kill_everything(platform: Platform) -> None:
    """SIGKILL for every process of the platform at once, as a power cut would."""
    supervisor = psutil.Process(platform.status()["services"]["supervisor"]["pid"])
    everything = [process.pid for process in (supervisor, *supervisor.children(recursive=True))]
    of_runs = [process.pid for process in processes_of(home_of(platform))]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in (*everything, *of_runs):
            os.kill(pid, number)


def assert_one_active_tenant(platform: Platform, tenant_id: str, request_id: str) -> None:
    def is_done() -> bool:
        answer = platform.admin("GET", f"/tenant-requests/{request_id}")
        return bool(answer.json().get("state") == "DONE")

    eventually(is_done)
    tenant = platform.admin("GET", f"/tenants/{tenant_id}").json()
    assert tenant["state"] == "ACTIVE"
    listed = platform.admin("GET", "/tenants").json()["tenants"]
    assert [one["tenant_id"] for one in listed].count(tenant_id) == 1
    tables = [table.table_id for table in platform.bigquery().list_tables(f"tenant_{tenant_id}")]
    assert sorted(tables) == sorted(table.name for table in tenant_tables())


def messages(platform: Platform, run_id: str) -> str:
    return "\n".join(event.get("message") or "" for event in events(platform, run_id))


def standard_error(platform: Platform, run_id: str) -> str:
    [key] = [event["fileKey"] for event in events(platform, run_id) if event.get("fileKey")]
    logs = platform.graphql(_OUTPUT, key=[run_id, "compute_logs", key])["capturedLogs"]
    return str(logs["stderr"])


def events(platform: Platform, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = platform.graphql(_EVENTS, id=run_id)["logsForRun"]["events"]
    return found


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
