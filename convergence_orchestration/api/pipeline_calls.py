"""Starting a tenant's pipeline run: admitted by the tenant's own count, launched in Dagster, written into its history.

What belongs here: the order of these three, and what happens when one of them fails. A run is counted first, so that
nothing is launched beyond the plan; it is in the history once it was launched, so a call that could not launch it takes
the count back and leaves nothing. Whatever is cut off in between is finished by the same Idempotency-Key, or is swept away
by `freed_places` when its place is wanted.
"""

from dataclasses import dataclass

from convergence_orchestration.api.launching import TENANT_TAG, launch
from convergence_orchestration.api.live_runs import freed_places
from convergence_orchestration.api.runs import RunId
from convergence_orchestration.api.services import Services
from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError
from convergence_orchestration.logs import logger
from convergence_orchestration.tenancy.model import PLAN_LIMITS, Plan, PlanLimits, TenantId
from convergence_orchestration.tenancy.pipelines.admission import Admission, admit
from convergence_orchestration.tenancy.pipelines.history import RunHistory
from convergence_orchestration.tenancy.pipelines.model import (
    PIPELINE_JOB,
    PIPELINE_RUN_TAG,
    PipelineAsked,
    PipelineRun,
    PipelineRunEvent,
    PipelineRunId,
    PipelineState,
    parameters_as_json,
)
from convergence_orchestration.tenancy.pipelines.quota import Usage, Verdict, day_used_up, places_taken
from convergence_orchestration.tenancy.pipelines.usage import UsageDays

_log = logger(__name__)


@dataclass(frozen=True)
class Wanted:
    """A pipeline run that a tenant asks for; `is_keyed` if its id stands for an Idempotency-Key."""

    tenant_id: TenantId
    plan: Plan
    key_id: str
    pipeline_run_id: PipelineRunId
    is_keyed: bool
    asked: PipelineAsked

    @property
    def limits(self) -> PlanLimits:
        """What the tenant's plan allows."""
        return PLAN_LIMITS[self.plan]


@dataclass(frozen=True)
class Started:
    """A run that was admitted and launched, now or by the same call before."""

    state: PipelineState
    run_id: str
    usage: Usage


class PipelineCalls:
    """The call for one run that is wanted."""

    def __init__(self, services: Services, wanted: Wanted) -> None:
        self._services = services
        self._wanted = wanted
        self._days = UsageDays(services.bigquery, wanted.tenant_id)
        self._history = RunHistory(services.bigquery, wanted.tenant_id)

    async def start(self) -> Started:
        """Start the run, once for an Idempotency-Key.

        Raises:
            TransientError: QUOTA_EXCEEDED; or DAGSTER_UNAVAILABLE, UNAVAILABLE: nothing was counted or begun.
            PermanentError: IDEMPOTENCY_KEY_REUSED if the key stood for something else.
        """
        blocking = self._services.blocking
        if self._wanted.is_keyed:
            known = await blocking(self._history.get, self._wanted.pipeline_run_id)
            if known is not None:
                return await self._known(known)
        admission = await self._admitted()
        run_id = None if admission.is_new else await self._launched_before()
        if run_id is None:
            run_id = await self._launch(is_new=admission.is_new)
        event = self._queued(run_id, admission)
        await blocking(self._history.append, event)
        return Started(event.state, run_id, admission.usage)

    async def _known(self, known: PipelineRun) -> Started:
        """The answer to a call that was answered before, or whose answer was lost."""
        asked = self._wanted.asked
        if (known.pipeline, known.parameters) != (asked.pipeline, parameters_as_json(asked)):
            raise PermanentError(
                ErrorCode.IDEMPOTENCY_KEY_REUSED,
                "Send another Idempotency-Key: this one stood for a run with other parameters.",
                {"pipeline_run_id": known.pipeline_run_id},
            )
        usage = await self._services.blocking(self._days.recent, self._services.clock())
        return Started(known.state, known.run_id or "", usage)

    async def _admitted(self) -> Admission:
        """The admission, for which the places of runs that have ended without a word are freed if need be."""
        admission = await self._admit()
        if admission.verdict is Verdict.ALL_PLACES_TAKEN:
            freed = await freed_places(self._services, self._wanted.tenant_id, admission.usage)
            admission = await self._admit() if freed else admission
        if admission.verdict is Verdict.DAY_USED_UP:
            raise day_used_up(self._wanted.limits, admission.usage.runs_today, admission.at)
        if admission.verdict is Verdict.ALL_PLACES_TAKEN:
            raise places_taken(self._wanted.limits, admission.usage, admission.at)
        return admission

    async def _admit(self) -> Admission:
        wanted = self._wanted
        return await self._services.blocking(
            admit, self._days, wanted.pipeline_run_id, wanted.limits, self._services.clock
        )

    async def _launched_before(self) -> RunId | None:
        """The Dagster run of a call that counted the run and then broke off, if it came so far."""
        runs = await self._services.dagster.tagged(
            PIPELINE_JOB, PIPELINE_RUN_TAG, self._wanted.pipeline_run_id
        )
        return next(iter(runs), None)

    async def _launch(self, *, is_new: bool) -> RunId:
        wanted = self._wanted
        config: dict[str, object] = {
            "tenant_id": wanted.tenant_id,
            "pipeline_run_id": wanted.pipeline_run_id,
            "pipeline": str(wanted.asked.pipeline),
            **wanted.asked.parameters.as_json(),
        }
        tags = {TENANT_TAG: wanted.tenant_id, PIPELINE_RUN_TAG: wanted.pipeline_run_id}
        try:
            return await launch(self._services, PIPELINE_JOB, {"run_pipeline": config}, tags)
        except ConvergenceError as error:
            begun = await self._begun_or_taken_back(error, is_new=is_new)
            if begun is None:
                raise
            return begun

    async def _begun_or_taken_back(self, error: ConvergenceError, *, is_new: bool) -> RunId | None:
        """The Dagster run that began though launching it failed: only the answer was lost, or the call was sent twice.

        Else None, and the run is not counted any more; should Dagster start it yet, it finds that it is not admitted.
        """
        blocking, run = self._services.blocking, self._wanted.pipeline_run_id
        try:
            known = await blocking(self._history.get, run)
            if known is not None and known.run_id is not None:
                return RunId(known.run_id)
            if is_new:
                await blocking(self._days.withdraw, run, self._services.clock())
        except ConvergenceError as second:
            _log.warning(
                "A run that was not launched stays counted until its place is wanted",
                tenant_id=self._wanted.tenant_id,
                code=str(error.code),
                because=str(second.code),
            )
        return None

    def _queued(self, run_id: RunId, admission: Admission) -> PipelineRunEvent:
        return PipelineRunEvent(
            pipeline_run_id=self._wanted.pipeline_run_id,
            pipeline=self._wanted.asked.pipeline,
            state=PipelineState.QUEUED,
            recorded_at=admission.at,
            parameters=parameters_as_json(self._wanted.asked),
            key_id=self._wanted.key_id,
            run_id=run_id,
        )
