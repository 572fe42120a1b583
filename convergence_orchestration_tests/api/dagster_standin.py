"""A stand-in for Dagster's web server: a real HTTP server that plays the GraphQL answers of the real one.

What belongs here: answers as recorded from Dagster, which test_dagster_contract.py compares with the real server. A
launched run does at once what the test gave its job to do, with our own functions and the emulators.
"""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from convergence_orchestration.errors import ConvergenceError, TransientError

LOADED: dict[str, Any] = {
    "__typename": "WorkspaceLocationEntry",
    "loadStatus": "LOADED",
    "locationOrLoadError": {"__typename": "RepositoryLocation"},
}
Materializations = list[dict[str, Any]]


@dataclass(frozen=True)
class Launch:
    """A run as it was launched."""

    run_id: str
    job: str
    config: dict[str, Any]
    tags: dict[str, str]

    def op_config(self) -> dict[str, Any]:
        """The config of the only op."""
        (op,) = self.config["ops"].values()
        config: dict[str, Any] = op["config"]
        return config


@dataclass
class Played:
    """A run and how it is at the moment."""

    launch: Launch
    status: str
    materializations: Materializations = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)


Work = Callable[[Launch], Materializations]


class DagsterStandIn:
    """Set `work` by job name; a job without work stays STARTED. Set `broken` to answer something else to everything."""

    def __init__(self) -> None:
        self.url = ""
        self.forget()

    def forget(self) -> None:
        """Become as new."""
        self.work: dict[str, Work] = {}
        self.runs: dict[str, Played] = {}
        self.location: dict[str, Any] | None = LOADED
        self.launch_answer: dict[str, Any] | None = None
        self.broken: tuple[int, bytes] | None = None
        self.broken_operations: set[str] = set()
        self.loses_launch_answers = False
        self.events_in_a_page = 1000

    @property
    def launches(self) -> list[Launch]:
        """All runs that were launched, in order."""
        return [run.launch for run in self.runs.values()]

    def answer(self, operation: str, variables: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body for one GraphQL operation."""
        if self.broken and (not self.broken_operations or operation in self.broken_operations):
            return self.broken
        if operation == "Launch" and self.loses_launch_answers:
            self._launch(variables["params"])
            return NO_ANSWER, b""
        plays: dict[str, Callable[[dict[str, Any]], Any]] = {
            "Ping": lambda _: {"workspaceLocationEntryOrError": self.location},
            "Launch": lambda sent: {"launchRun": self.launch_answer or self._launch(sent["params"])},
            "Status": lambda sent: self._run(sent, lambda run: {"status": run.status}),
            "Materializations": lambda sent: self._run(
                sent, lambda run: {"assetMaterializations": run.materializations}
            ),
            "Failure": lambda sent: self._run(sent, lambda run: {"eventConnection": self._page(run, sent)}),
            "Tagged": lambda sent: {"runsOrError": self._tagged(sent)},
        }
        return 200, json.dumps({"data": plays[operation](variables)}).encode()

    def add_run(self, job: str, status: str, tags: dict[str, str], run_id: str | None = None) -> str:
        """A run that was launched before; its id."""
        launch = Launch(run_id or str(uuid.uuid4()), job, {}, tags)
        self.runs[launch.run_id] = Played(launch, status)
        return launch.run_id

    def _launch(self, params: dict[str, Any]) -> dict[str, Any]:
        tags = {tag["key"]: tag["value"] for tag in params["executionMetadata"]["tags"]}
        launch = Launch(str(uuid.uuid4()), params["selector"]["jobName"], params["runConfigData"], tags)
        played = self.runs[launch.run_id] = Played(launch, "STARTED")
        work = self.work.get(launch.job)
        if work is not None:
            self._play(played, work)
        return {"__typename": "LaunchRunSuccess", "run": {"runId": launch.run_id}}

    def _play(self, played: Played, work: Work) -> None:
        try:
            played.materializations = work(played.launch)
            played.status = "SUCCESS"
        except ConvergenceError as error:
            played.status = "FAILURE"
            played.events = [{"__typename": "RunStartEvent", "message": "Started."}, step_failure(error)]

    def _run(self, sent: dict[str, Any], found: Callable[[Played], dict[str, Any]]) -> dict[str, Any]:
        run = self.runs.get(sent["runId"])
        if run is None:
            message = f"Pipeline run {sent['runId']} could not be found."
            return {"runOrError": {"__typename": "RunNotFoundError", "message": message}}
        return {"runOrError": {"__typename": "Run", **found(run)}}

    def _page(self, run: Played, sent: dict[str, Any]) -> dict[str, Any]:
        start = int(sent["after"] or 0)
        end = start + self.events_in_a_page
        return {"cursor": str(end), "hasMore": end < len(run.events), "events": run.events[start:end]}

    def _tagged(self, sent: dict[str, Any]) -> dict[str, Any]:
        results = [
            {"runId": run.launch.run_id, "status": run.status}
            for run in self.runs.values()
            if run.launch.job == sent["job"] and run.launch.tags.get(sent["key"]) == sent["value"]
        ]
        return {"__typename": "Runs", "results": results[: sent["limit"]]}


def step_failure(error: ConvergenceError) -> dict[str, Any]:
    """The event of a step that failed with one of our errors, as `reported_failures` gives it to Dagster."""
    return {
        "__typename": "ExecutionStepFailureEvent",
        "message": 'Execution of step "fulfil" failed.',
        "stepKey": "fulfil",
        "error": {
            "message": f"dagster._core.definitions.events.Failure: {error.message}\n",
            "cause": None,
        },
        "failureMetadata": {
            "description": error.message,
            "metadataEntries": [
                {"__typename": "TextMetadataEntry", "label": "code", "text": str(error.code)},
                {
                    "__typename": "JsonMetadataEntry",
                    "label": "details",
                    "jsonString": json.dumps(error.details),
                },
                {
                    "__typename": "BoolMetadataEntry",
                    "label": "transient",
                    "boolValue": isinstance(error, TransientError),
                },
            ],
        },
    }


def materialized(*key: str, partition: str | None = None, **texts: str) -> dict[str, Any]:
    """One element of `assetMaterializations`."""
    entries = [
        {"__typename": "TextMetadataEntry", "label": label, "text": text} for label, text in texts.items()
    ]
    return {"assetKey": {"path": list(key)}, "partition": partition, "metadataEntries": entries}


@contextmanager
def played_dagster() -> Iterator[DagsterStandIn]:
    """A stand-in that listens on a free port."""
    standin = DagsterStandIn()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _requests_for(standin))
    server.daemon_threads = True
    standin.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield standin
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _requests_for(standin: DagsterStandIn) -> type[BaseHTTPRequestHandler]:
    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = re.search(r"(?:query|mutation) (\w+)", sent["query"])
            assert found, sent
            assert self.path == "/graphql"
            status, body = standin.answer(found[1], sent["variables"])
            if status == NO_ANSWER:
                time.sleep(0.05)
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class' name
            """Say nothing."""

    return Requests


NO_ANSWER = 0
"""As the status of `broken`: the connection is closed instead of an answer."""
