"""Runs that nobody executes, and nobody would notice, are marked as cancelled.

What belongs here: this repair alone, made when the web server or the daemon has started. Dagster's default launcher reports
no worker's health, so a run whose process ended with the platform would say "started" for ever. Our own launcher takes up
its runs again, or reports them, from what it wrote down; but a web server or a daemon that is killed between making a run
and launching it leaves a run without a trace, which Dagster would give up only after `start_timeout_seconds`.
"""

from pathlib import Path

import httpx

from convergence_orchestration.launching.model import NO_WORKER
from convergence_orchestration.launching.paths import launch_paths
from convergence_orchestration.launching.records import RunRecords
from convergence_orchestration.local_platform.probes import graphql

_UNFINISHED = """query($before: Float!){instance{runLauncher{name}}
runsOrError(filter:{statuses:[NOT_STARTED,STARTING,STARTED,CANCELING],createdBefore:$before}){... on Runs{results{
runId creationTime}}}}"""
_CANCEL = """mutation($ids: [String!]!){terminateRuns(runIds:$ids, terminatePolicy: MARK_AS_CANCELED_IMMEDIATELY){
__typename}}"""
_KNOWS_NO_WORKER = "DefaultRunLauncher"
_WRITES_DOWN = "ForkServerRunLauncher"


async def settle(
    client: httpx.AsyncClient, started: float, *, url: str, home: Path, platform_started: float
) -> None:
    """Mark the runs as cancelled that are certainly lost.

    Args:
        client: asks the web server.
        started: when the process that has just become healthy was started, seconds since the epoch.
        url: the web server's.
        home: Dagster's.
        platform_started: no process of this platform is older, seconds since the epoch.

    Raises:
        NotReady: the web server at `url` does not answer.
    """
    found = await graphql(client, url, _UNFINISHED, {"before": started})
    launcher = (found["instance"]["runLauncher"] or {}).get("name")
    runs = found["runsOrError"].get("results", [])
    older = {run["runId"] for run in runs if run["creationTime"] < platform_started}
    if launcher == _KNOWS_NO_WORKER:
        lost = older
    elif launcher == _WRITES_DOWN:
        records = RunRecords(launch_paths(home).runs)
        lost = {
            run["runId"] for run in runs if _is_lost(records, run["runId"], is_older=run["runId"] in older)
        }
    else:
        lost = set()
    if lost:
        await graphql(client, url, _CANCEL, {"ids": sorted(lost)})


def _is_lost(records: RunRecords, run_id: str, *, is_older: bool) -> bool:
    """Whether our launcher never heard of a run, or gave it to the default launcher of a platform that has ended."""
    if records.request(run_id) is not None:
        return False
    record = records.worker(run_id)
    return record is None or (record.process == NO_WORKER and is_older)
