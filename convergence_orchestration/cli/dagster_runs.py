"""A job of ours is launched and waited for, by a command.

What belongs here: the call and what is said while it runs. What the run did, each command tells.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from convergence_orchestration.cli.audited import operator
from convergence_orchestration.cli.reporting import tell
from convergence_orchestration.errors import ErrorCode, TransientError

if TYPE_CHECKING:
    from convergence_orchestration.api.dagster_client import DagsterClient
    from convergence_orchestration.api.runs import RunId, RunOutcome
    from convergence_orchestration.settings import Settings

_PATIENCE_SECONDS = 3600
_LOOK_SECONDS = 1.0


def run_job(
    settings: "Settings",
    job: str,
    op: str,
    config: Mapping[str, object],
    look: Callable[[], None] | None = None,
) -> "RunOutcome":
    """Launch the job with this config of its one op that has any, say where it is seen, and come back when it has succeeded.

    Args:
        settings: where Dagster is.
        job: its name.
        op: the one that takes the config.
        config: by field.
        look: called every second while the run goes on, and once behind its end: what it raises is raised.

    Raises:
        ConvergenceError: why the run failed; TransientError DAGSTER_UNAVAILABLE if Dagster cannot be asked, and
            UNAVAILABLE if the run has not ended within an hour: it goes on.
    """
    import anyio  # noqa: PLC0415 not for --help

    return anyio.run(_run_job, settings, job, {"ops": {op: {"config": dict(config)}}}, look)


async def _run_job(
    settings: "Settings", job: str, run_config: Mapping[str, object], look: Callable[[], None] | None
) -> "RunOutcome":
    import httpx  # noqa: PLC0415 not for --help

    from convergence_orchestration.api.dagster_client import DagsterClient  # noqa: PLC0415
    from convergence_orchestration.audit.runs import ACTOR_TAG  # noqa: PLC0415

    # Dagster is an address of ours: no proxy of the environment stands before it
    async with httpx.AsyncClient(trust_env=False) as http:
        dagster = DagsterClient(http, settings.dagster_base_url)
        run_id = await dagster.launch(job, run_config, {ACTOR_TAG: operator()})
        url = dagster.run_url(run_id)
        tell(f"{job} runs: {url}")
        outcome = await _ended(dagster, run_id, look)
    error = outcome.error(url)
    if error is not None:
        raise error
    if not outcome.status.is_finished:
        raise TransientError(ErrorCode.UNAVAILABLE, f"Look at {url}: the run has not ended and goes on.")
    return outcome


async def _ended(dagster: "DagsterClient", run_id: "RunId", look: Callable[[], None] | None) -> "RunOutcome":
    import anyio  # noqa: PLC0415 not for --help

    if look is None:
        return await dagster.wait(run_id, _PATIENCE_SECONDS)
    until = anyio.current_time() + _PATIENCE_SECONDS
    while True:
        outcome = await dagster.wait(run_id, _LOOK_SECONDS)
        await anyio.to_thread.run_sync(look)
        if outcome.status.is_finished or anyio.current_time() >= until:
            return outcome
