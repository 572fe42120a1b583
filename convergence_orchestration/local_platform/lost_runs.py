"""Runs that the platform's last end cut off are marked as cancelled when it starts again.

What belongs here: this repair alone. Dagster's default launcher reports no worker's health, so a run whose process is gone
would say "started" for ever. When the platform starts, all processes of the last one have ended, so each run that began
before is certainly lost. A launcher that knows its workers needs no such help and gets none.
"""

import httpx

from convergence_orchestration.local_platform.probes import graphql

_UNFINISHED = """query($before: Float!){instance{runLauncher{name}}
runsOrError(filter:{statuses:[STARTING,STARTED,CANCELING],createdBefore:$before}){... on Runs{results{runId}}}}"""
_CANCEL = """mutation($ids: [String!]!){terminateRuns(runIds:$ids, terminatePolicy: MARK_AS_CANCELED_IMMEDIATELY){
__typename}}"""
_KNOWS_NO_WORKER = "DefaultRunLauncher"


async def settle(client: httpx.AsyncClient, *, url: str, before: float) -> None:
    """Mark every unfinished run created before `before` (seconds since the epoch) as cancelled.

    Raises:
        NotReady: the web server at `url` does not answer.
    """
    found = await graphql(client, url, _UNFINISHED, {"before": before})
    launcher = found["instance"]["runLauncher"] or {}
    ids = [run["runId"] for run in found["runsOrError"].get("results", [])]
    if ids and launcher.get("name") == _KNOWS_NO_WORKER:
        await graphql(client, url, _CANCEL, {"ids": ids})
