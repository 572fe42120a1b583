"""From launching a run to its end: Dagster's default launcher against the fork server, side by side.

    .venv/bin/python benchmarks/launch.py [--repeats 7] [--burst 20]

Two web servers with homes of their own, one for each launcher, load this same file as their code location; it imports the
platform's definitions, so it weighs what the platform's own location weighs. Runs are launched through GraphQL, by turns
with one launcher and the other, so that whatever else the machine does hits both. The time is from sending the mutation
until the run's end as Dagster recorded it. The first run of each, which starts processes, is told apart. Numbers depend
on the machine; the ratio is what to look at.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import httpx

import convergence_orchestration.definitions  # noqa: F401 the weight of the platform's code location
from convergence_orchestration.launching.stopping import stop as stop_fork_server

_FINAL = {"SUCCESS", "FAILURE", "CANCELED"}
_PATIENCE_SECONDS = 300.0
_LOOK_SECONDS = 0.1
_FORKED = "{module: convergence_orchestration.launcher, class: ForkServerRunLauncher}"
_DEFAULT = "{module: dagster, class: DefaultRunLauncher}"
_YAML = """
telemetry: {{enabled: false}}
run_coordinator: {{module: dagster._core.run_coordinator, class: DefaultRunCoordinator}}
run_launcher: {launcher}
"""
_WORKSPACE = (
    "load_from: [{{python_file: {{relative_path: {file}, attribute: defs, location_name: benchmark}}}}]"
)
_LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }"""
_RUN = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status endTime } } }"
_READY = """query { workspaceOrError { ... on Workspace { locationEntries {
  locationOrLoadError { __typename ... on PythonError { message } } } } } }"""


@dg.op
def first() -> int:
    """Where the numbers come from."""
    return 1


@dg.op
def following(number: int) -> int:
    """One more."""
    return number + 1


@dg.job(executor_def=dg.in_process_executor)
def trivial() -> None:
    """One op that does nothing."""
    first()


@dg.job(executor_def=dg.in_process_executor)
def five_ops() -> None:
    """Five ops in a row that do nothing."""
    number = first()
    for position in range(4):
        number = following.alias(f"following_{position}")(number)


defs = dg.Definitions(jobs=[trivial, five_ops])


@dataclass(frozen=True)
class WebServer:
    """A running web server of one of the launchers."""

    name: str
    port: int

    def graphql(self, query: str, **variables: object) -> Any:  # noqa: ANN401 JSON
        """The `data` of an answer; ValueError with the errors if there are any."""
        body = {"query": query, "variables": variables}
        answer = httpx.post(
            f"http://127.0.0.1:{self.port}/graphql", json=body, timeout=_PATIENCE_SECONDS
        ).json()
        if "errors" in answer:
            raise ValueError(answer["errors"])
        return answer["data"]

    def seconds(self, job: str) -> float:
        """Launch a run and wait; seconds from asking until it had ended."""
        asked = time.time()
        selector = {"repositoryLocationName": "benchmark", "repositoryName": "__repository__", "jobName": job}
        launched = self.graphql(_LAUNCH, params={"selector": selector, "runConfigData": "{}"})["launchRun"]
        if launched["__typename"] != "LaunchRunSuccess":
            raise ValueError(launched)
        while (run := self.graphql(_RUN, id=launched["run"]["runId"])["runOrError"])["status"] not in _FINAL:
            time.sleep(_LOOK_SECONDS)
        if run["status"] != "SUCCESS":
            raise ValueError(f"A run of {job} ended with {run['status']}.")
        return float(run["endTime"]) - asked

    def burst(self, runs: int) -> float:
        """Launch so many runs at once; seconds until the last had ended, or not a number if any failed."""
        asked = time.time()
        with ThreadPoolExecutor(runs) as threads:
            outcomes = [threads.submit(self.seconds, "trivial") for _ in range(runs)]
        failures = [str(error)[:200] for outcome in outcomes if (error := outcome.exception())]
        if failures:
            print(
                f"{len(failures)} of {runs} failed with the launcher {self.name}: {failures[0]}",
                file=sys.stderr,
            )
            return math.nan
        return time.time() - asked


@contextmanager
def web_server(name: str, launcher: str, port: int) -> Iterator[WebServer]:
    """A web server on a fresh home, ready; nothing of it is left at the end."""
    with tempfile.TemporaryDirectory(prefix=f"launch-{name}-") as directory:
        home = Path(directory)
        (home / "dagster.yaml").write_text(_YAML.format(launcher=launcher))
        (home / "workspace.yaml").write_text(
            _WORKSPACE.format(file=json.dumps(str(Path(__file__).resolve())))
        )
        command = [
            sys.executable,
            "-m",
            "dagster_webserver",
            "-p",
            str(port),
            "-w",
            str(home / "workspace.yaml"),
        ]
        with (home / "log").open("wb") as log:
            child = subprocess.Popen(
                command, env={**os.environ, "DAGSTER_HOME": directory}, stdout=log, stderr=log
            )
        try:
            server = WebServer(name, port)
            _wait_until_ready(server, child, home / "log")
            yield server
        finally:
            child.terminate()
            child.wait()
            stop_fork_server(home, grace=1)


def _wait_until_ready(server: WebServer, child: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        try:
            [entry] = server.graphql(_READY)["workspaceOrError"]["locationEntries"]
        except (httpx.HTTPError, ValueError):
            time.sleep(_LOOK_SECONDS)
            continue
        if entry["locationOrLoadError"]["__typename"] == "RepositoryLocation":
            return
        raise RuntimeError(entry["locationOrLoadError"])
    raise RuntimeError(log.read_text()[-3000:])


def measure(servers: list[WebServer], repeats: int, burst: int) -> Iterator[tuple[str, list[list[float]]]]:
    """For each thing measured its name and, by server, the seconds of each repeat."""
    yield "first run", [[server.seconds("trivial")] for server in servers]
    for job in ("trivial", "five_ops"):
        rounds = [[server.seconds(job) for server in servers] for _ in range(repeats)]
        yield job, [list(column) for column in zip(*rounds, strict=True)]
    if burst:
        yield f"{burst} trivial at once", [[server.burst(burst)] for server in servers]


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeats", type=int, default=7, help="runs of each job with each launcher")
    parser.add_argument("--burst", type=int, default=20, help="runs launched at once; 0: none")
    parser.add_argument("--port", type=int, default=29801, help="the first of two free ports")
    given = parser.parse_args()
    with ExitStack() as stack:
        launchers = (("default", _DEFAULT), ("forked", _FORKED))
        servers = [
            stack.enter_context(web_server(name, launcher, given.port + position))
            for position, (name, launcher) in enumerate(launchers)
        ]
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
        print("| from launch to end, s | default | forked | ratio |\n| --- | --- | --- | --- |")
        for name, (default, forked) in measure(servers, given.repeats, given.burst):
            ratio = statistics.median(default) / statistics.median(forked)
            print(f"| {name} | {_spread(default)} | {_spread(forked)} | {ratio:.1f} |", flush=True)


def _spread(seconds: list[float]) -> str:
    """The median, and the range where there is one."""
    if math.isnan(statistics.median(seconds)):
        return "failed"
    if len(seconds) == 1:
        return f"{seconds[0]:.2f}"
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    main()
