"""Live runs whose places are wanted: which of them have ended, and giving their places back.

What belongs here: asking the history and Dagster, and doing what `quota.fate` decides. It is asked only when somebody
would be refused because of these runs: nobody watches ten thousand tenants for it.
"""

from convergence_orchestration.api.services import Services
from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.logs import logger
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.pipelines.attempt import give_back
from convergence_orchestration.tenancy.pipelines.history import RunHistory
from convergence_orchestration.tenancy.pipelines.model import (
    PIPELINE_JOB,
    PIPELINE_RUN_TAG,
    Pipeline,
    PipelineRun,
    PipelineRunEvent,
    PipelineRunId,
    PipelineState,
)
from convergence_orchestration.tenancy.pipelines.quota import Fate, Usage, fate
from convergence_orchestration.tenancy.pipelines.usage import UsageDays

_log = logger(__name__)


async def freed_places(services: Services, tenant_id: TenantId, usage: Usage) -> bool:
    """Give back the places of those live runs that have ended; True if there was any."""
    days, history = UsageDays(services.bigquery, tenant_id), RunHistory(services.bigquery, tenant_id)
    known = await services.blocking(history.of, usage.live)
    freed = False
    for live in usage.live:
        run = known.get(live)
        decided = await _fate(services, live, run, usage)
        if decided is Fate.STAYS:
            continue
        _log.info("A live run has ended", tenant_id=tenant_id, pipeline_run_id=live, fate=str(decided))
        if decided is Fate.NEVER_BEGAN:
            freed = await services.blocking(days.withdraw, live, services.clock()) or freed
            continue
        if decided is Fate.LOST:
            await services.blocking(history.append, _lost(live, run, services))
            run = await services.blocking(history.get, live)
        if run is not None:
            freed = await services.blocking(give_back, days, run, services.clock()) or freed
    return freed


async def _fate(services: Services, live: PipelineRunId, run: PipelineRun | None, usage: Usage) -> Fate:
    has_ended = run is not None and run.state.is_final
    of_dagster = None if has_ended else await _finished_in_dagster(services, live)
    return fate(has_ended=has_ended, dagster_runs=of_dagster, idle=usage.idle(live, services.clock()))


async def _finished_in_dagster(services: Services, live: PipelineRunId) -> list[bool] | None:
    """Of each Dagster run of this pipeline run, whether it is finished; None if Dagster cannot be asked."""
    try:
        statuses = await services.dagster.tagged(PIPELINE_JOB, PIPELINE_RUN_TAG, live)
    except TransientError:
        return None
    return [status.is_finished for status in statuses.values()]


def _lost(live: PipelineRunId, run: PipelineRun | None, services: Services) -> PipelineRunEvent:
    now = services.clock()
    return PipelineRunEvent(
        pipeline_run_id=live,
        pipeline=run.pipeline if run else Pipeline.DATA_QUALITY,
        state=PipelineState.FAILED,
        recorded_at=now,
        finished_at=now,
        rows_written=0,
        error_code=ErrorCode.UNAVAILABLE,
        reason="Start it again: it ended without a word.",
        run_id=run.run_id if run else None,
    )
