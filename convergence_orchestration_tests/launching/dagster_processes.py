"""A Dagster web server and daemon with the fork-server launcher, as real processes on a home of their own."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from dagster import DagsterInstance

from convergence_orchestration.launching.model import ProcessIdentity
from convergence_orchestration.launching.paths import LaunchPaths, launch_paths
from convergence_orchestration.launching.stopping import stop as stop_fork_server
from convergence_orchestration_tests.emulators import free_port, stop

PATIENCE = 120.0
"""Seconds; far above what anything here takes, so that a loaded machine fails no test."""

FINAL = {"SUCCESS", "FAILURE", "CANCELED"}
LOCATION = "tested"
WORKERS = 4
SECRET = "correct-horse-battery-staple"
"""In the environment of the web server and the daemon, so workers must have it; nobody else must be able to read it."""

_YAML = """
telemetry: {enabled: false}
run_coordinator: {module: dagster._core.run_coordinator, class: DefaultRunCoordinator}
run_launcher:
  module: convergence_orchestration.launcher
  class: ForkServerRunLauncher
  config: {max_concurrent_workers: 4, termination_grace_seconds: 1}
run_monitoring: {enabled: true, poll_interval_seconds: 3, start_timeout_seconds: 600}
run_retries: {enabled: true, max_retries: 0}
"""

_WORKSPACE = """
load_from:
  - python_file: {relative_path: location.py, attribute: defs, location_name: tested}
"""

_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on Error { message }
  }
}
"""
_RUN = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status rootRunId } } }"
_RETRIES = """
query($id: String!) {
  runsOrError(filter: {tags: [{key: "dagster/parent_run_id", value: $id}]}) { ... on Runs { results { runId } } }
}
"""
_EVENTS = """
query($id: ID!) {
  logsForRun(runId: $id) {
    ... on EventConnection {
      events { __typename ... on MessageEvent { message } ... on LogsCapturedEvent { fileKey } }
    }
  }
}
"""
_OUTPUT = "query($key: [String!]!) { capturedLogs(logKey: $key) { stdout stderr } }"
_TERMINATE = """
mutation($id: String!, $policy: TerminateRunPolicy!) {
  terminateRun(runId: $id, terminatePolicy: $policy) { __typename ... on TerminateRunFailure { message } ... on PythonError { message } }
}
"""
_READY = """
query {
  workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } }
}
"""


@dataclass
class DagsterProcesses:
    """The running web server and daemon; `marks` is where the ops of `location.py` leave files."""

    directory: Path
    port: int

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def code(self) -> Path:
        return self.directory / "location.py"

    @property
    def marks(self) -> Path:
        return self.directory / "marks"

    @property
    def paths(self) -> LaunchPaths:
        return launch_paths(self.home)

    def graphql(self, query: str, **variables: object) -> Any:
        """The `data` of an answer."""
        body = {"query": query, "variables": variables}
        answer = httpx.post(f"http://127.0.0.1:{self.port}/graphql", json=body, timeout=PATIENCE).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def launch(self, job: str, op: str = "", **config: object) -> str:
        """Launch a run; its id."""
        run_config = {"ops": {op: {"config": {"directory": str(self.marks), **config}}}} if op else {}
        selector = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__", "jobName": job}
        params = {"selector": selector, "runConfigData": json.dumps(run_config)}
        launched = self.graphql(_LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def status(self, run_id: str) -> str:
        return str(self.graphql(_RUN, id=run_id)["runOrError"]["status"])

    def outcome(self, run_id: str) -> str:
        """The run's final status, waited for."""
        eventually(lambda: self.status(run_id) in FINAL, lambda: f"{run_id} is {self.status(run_id)}")
        return self.status(run_id)

    def retry_of(self, run_id: str) -> str:
        """The run that Dagster launches to retry a failed one, waited for."""
        found: list[str] = []

        def is_there() -> bool:
            results = self.graphql(_RETRIES, id=run_id)["runsOrError"]["results"]
            found[:] = [run["runId"] for run in results]
            return bool(found)

        eventually(is_there, lambda: f"nothing retries {run_id}")
        return found[0]

    def terminate(self, run_id: str, policy: str = "SAFE_TERMINATE") -> str:
        return str(self.graphql(_TERMINATE, id=run_id, policy=policy)["terminateRun"]["__typename"])

    def messages(self, run_id: str) -> str:
        """Every message of the run's log."""
        events = self.graphql(_EVENTS, id=run_id)["logsForRun"]["events"]
        return "\n".join(event.get("message") or "" for event in events)

    def output(self, run_id: str) -> tuple[str, str]:
        """What the run's ops printed to standard output and standard error, as the UI shows it."""
        events = self.graphql(_EVENTS, id=run_id)["logsForRun"]["events"]
        [file_key] = [event["fileKey"] for event in events if event.get("fileKey")]
        logs = self.graphql(_OUTPUT, key=[run_id, "compute_logs", file_key])["capturedLogs"]
        return logs["stdout"], logs["stderr"]

    def worker(self, run_id: str) -> int:
        """The pid of the process that executes the run, once its op has started."""
        started = self.marks / f"{run_id}.started"
        eventually(lambda: started.exists() and started.read_text() != "", lambda: f"{run_id} did not start")
        return int(started.read_text().split()[0])

    def state(self) -> dict[str, Any]:
        """What the fork server wrote about itself."""
        state: dict[str, Any] = json.loads(self.paths.state.read_text())
        return state

    def server(self) -> ProcessIdentity:
        return ProcessIdentity(**self.state()["server"])

    def zygotes(self) -> list[ProcessIdentity]:
        return [ProcessIdentity(**fields) for fields in self.state()["zygotes"]]


def eventually(is_so: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    """Wait until something is so; AssertionError with the words of `otherwise` when patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise())
        time.sleep(0.1)


def kill(*processes: ProcessIdentity) -> None:
    """kill -9, without giving any of them the time to see another's end."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)


@contextlib.contextmanager
def dagster_processes(directory: Path) -> Iterator[DagsterProcesses]:
    """Start both and wait until the code is loaded; at the end nothing of them is left."""
    running = DagsterProcesses(directory, free_port())
    for made in (running.home, running.marks):
        made.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("location.py"), running.code)
    (running.home / "dagster.yaml").write_text(_YAML)
    (directory / "workspace.yaml").write_text(_WORKSPACE)
    with DagsterInstance.from_config(str(running.home)):
        pass  # makes the SQLite files, which two processes starting at once would trip over
    web_server = ["dagster_webserver", "-h", "127.0.0.1", "-p", str(running.port), "-w", "workspace.yaml"]
    daemon = ["dagster._daemon", "run", "-w", "workspace.yaml"]
    with (directory / "dagster.log").open("ab") as log:
        children = [_start(words, directory, log.fileno()) for words in (web_server, daemon)]
    try:
        eventually(lambda: _is_ready(running), lambda: (directory / "dagster.log").read_text()[-3000:])
        yield running
    finally:
        for child in children:
            stop(child)
        stop_fork_server(running.home, grace=1)


def _start(words: list[str], directory: Path, log: int) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(directory / "home"),
        "LAUNCHING_TEST_SECRET": SECRET,
        "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=directory,
        env=environment,
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
    )


def _is_ready(running: DagsterProcesses) -> bool:
    try:
        entries = running.graphql(_READY)["workspaceOrError"]["locationEntries"]
    except (httpx.HTTPError, json.JSONDecodeError):
        return False
    return [entry["locationOrLoadError"]["__typename"] for entry in entries] == ["RepositoryLocation"]
