"""Dagster's GraphQL API as the API needs it: is it there, launch a job, wait for a run.

What belongs here: HTTP to Dagster's web server and nothing of our domains. Every failure to get an answer is the
same transient error, DAGSTER_UNAVAILABLE; the queries are the `.graphql` files of this package.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import anyio
import httpx

from convergence_orchestration.api import runs
from convergence_orchestration.api.runs import Materialization, RunFailure, RunId, RunOutcome, RunStatus
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.logs import logger

LOCATION = "convergence_orchestration"
REPOSITORY = "__repository__"

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 0.25
_PAUSE_GROWTH = 1.2
_QUERY_TIMEOUT = httpx.Timeout(10, connect=5)
_LAUNCH_TIMEOUT = httpx.Timeout(60, connect=5)  # it is longer: launching waits for the code server
_MOST_TAGGED_RUNS = 20
_QUERIES = {
    path.name.removesuffix(".graphql"): path.read_text()
    for path in files("convergence_orchestration.api").joinpath("graphql").iterdir()
    if path.name.endswith(".graphql")
}
_log = logger(__name__)


class DagsterClient:
    """Asks the web server at `base_url` (without a slash at its end) through `http`, which the caller closes."""

    def __init__(self, http: httpx.AsyncClient, base_url: str) -> None:
        self._http = http
        self._base_url = base_url

    def run_url(self, run_id: str) -> str:
        """Where a person sees the run."""
        return f"{self._base_url}/runs/{run_id}"

    async def ping(self) -> None:
        """Make sure that runs can be launched: the web server answers and our code location is loaded.

        Raises:
            TransientError: DAGSTER_UNAVAILABLE.
        """
        entry = (await self._ask("ping", location=LOCATION))["workspaceLocationEntryOrError"]
        if entry is None or entry["__typename"] != "WorkspaceLocationEntry":
            raise _unavailable(f"it knows no code location {LOCATION}")
        location = entry["locationOrLoadError"]
        if location is None:
            raise _unavailable(f"its code location {LOCATION} is still loading")
        if location["__typename"] == "PythonError":
            raise _unavailable(
                f"its code location {LOCATION} does not load: {runs.first_line(location['message'])}"
            )

    async def launch(self, job_name: str, run_config: Mapping[str, object], tags: Mapping[str, str]) -> RunId:
        """Launch a run of a job of ours.

        Raises:
            TransientError: DAGSTER_UNAVAILABLE; the run may exist all the same if the answer was lost.
            PermanentError: INTERNAL, if Dagster refuses the run config, which is a defect of ours.
        """
        params = {
            "selector": {
                "repositoryLocationName": LOCATION,
                "repositoryName": REPOSITORY,
                "jobName": job_name,
            },
            "runConfigData": run_config,
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        result = (await self._ask("launch", _LAUNCH_TIMEOUT, params=params))["launchRun"]
        if result["__typename"] == "LaunchRunSuccess":
            return RunId(result["run"]["runId"])
        if result["__typename"] == "RunConfigValidationInvalid":
            reasons = [runs.first_line(error["message"]) for error in result["errors"]]
            raise PermanentError(
                ErrorCode.INTERNAL,
                f"Report this defect: Dagster refuses the run config of {job_name}.",
                {"reasons": reasons},
            )
        reason = runs.first_line(result.get("message") or result["__typename"])
        raise _unavailable(f"it cannot launch {job_name}: {reason}")

    async def wait(self, run_id: RunId, seconds: float) -> RunOutcome:
        """The run's outcome, or its state after `seconds`; UNKNOWN if Dagster could not be asked until then.

        Dagster not answering is no error here: the run goes on whether we can see it or not.
        """
        deadline = anyio.current_time() + seconds
        pause = _FIRST_PAUSE
        while True:
            outcome = await self._look(run_id)
            left = deadline - anyio.current_time()
            if outcome.status.is_finished or left <= 0:
                return outcome
            await anyio.sleep(min(pause, left))
            pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)

    async def tagged(self, job_name: str, key: str, value: str) -> dict[RunId, RunStatus]:
        """The newest runs of a job with this tag, and their statuses.

        Raises:
            TransientError: DAGSTER_UNAVAILABLE.
        """
        result = (await self._ask("tagged", job=job_name, key=key, value=value, limit=_MOST_TAGGED_RUNS))[
            "runsOrError"
        ]
        if result["__typename"] != "Runs":
            raise _unavailable(runs.first_line(result.get("message", "")))
        return {RunId(run["runId"]): RunStatus(run["status"]) for run in result["results"]}

    async def _look(self, run_id: RunId) -> RunOutcome:
        try:
            status = RunStatus((await self._run("status", run_id))["status"])
            if status is RunStatus.SUCCESS:
                return RunOutcome(run_id, status, materializations=await self._materializations(run_id))
            if status is RunStatus.FAILURE:
                return RunOutcome(run_id, status, await self._failure(run_id))
            if status is RunStatus.CANCELED:
                return RunOutcome(run_id, status, runs.CANCELED)
        except TransientError as error:
            _log.warning("Dagster could not be asked about a run", run_id=run_id, reason=error.message)
            return RunOutcome(run_id, RunStatus.UNKNOWN)
        return RunOutcome(run_id, status)

    async def _materializations(self, run_id: RunId) -> tuple[Materialization, ...]:
        run = await self._run("materializations", run_id)
        return tuple(runs.materialization(event) for event in run["assetMaterializations"])

    async def _failure(self, run_id: RunId) -> RunFailure:
        events: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page = (await self._run("failure", run_id, after=after))["eventConnection"]
            events += page["events"]
            after = page["cursor"]
            if not page["hasMore"]:
                return runs.failure(events) or runs.ENDED_WITHOUT_REASON

    async def _run(self, query: str, run_id: RunId, **variables: object) -> dict[str, Any]:
        run: dict[str, Any] = (await self._ask(query, runId=run_id, **variables))["runOrError"]
        if run["__typename"] != "Run":
            raise _unavailable(runs.first_line(run.get("message") or run["__typename"]))
        return run

    async def _ask(
        self, query: str, patience: httpx.Timeout = _QUERY_TIMEOUT, /, **variables: object
    ) -> dict[str, Any]:
        body = {"query": _QUERIES[query], "variables": variables}
        try:
            response = await self._http.post(f"{self._base_url}/graphql", json=body, timeout=patience)
            response.raise_for_status()
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            # the exception's text may quote what was sent, so only its kind is told
            raise _unavailable(f"it did not answer ({type(error).__name__})") from None
        if not isinstance(answer, dict) or answer.get("errors") or not isinstance(answer.get("data"), dict):
            raise _unavailable("its GraphQL answer was an error")
        result: dict[str, Any] = answer["data"]
        return result


def _unavailable(why: str) -> TransientError:
    return TransientError(
        ErrorCode.DAGSTER_UNAVAILABLE,
        f"Try again in a few seconds, or look after Dagster: {why.rstrip('.')}.",
    )
