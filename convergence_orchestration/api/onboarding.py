"""How the API has a tenant made: look, write down the request, launch the run, wait for it.

What belongs here: the order of these steps, and what is written when one of them fails so that nothing dangles. The
API writes events alone; whatever is created, the run creates.
"""

from dataclasses import dataclass

from convergence_orchestration.api.admission import in_progress, is_abandoned, refuse_if_there
from convergence_orchestration.api.launching import ACTOR_TAG, REQUEST_TAG, TENANT_TAG, launch
from convergence_orchestration.api.runs import RunId, RunStatus
from convergence_orchestration.api.services import Services
from convergence_orchestration.errors import ConvergenceError, ErrorCode
from convergence_orchestration.logs import logger
from convergence_orchestration.tenancy.model import (
    NewTenant,
    RequestEvent,
    RequestId,
    RequestState,
    TenantRequest,
    new_request_id,
)
from convergence_orchestration.tenancy.request_history import resumable

JOB = "onboard_tenant"
_log = logger(__name__)


@dataclass(frozen=True)
class Onboarding:
    """A request that was written down and the run that works on it."""

    request_id: RequestId
    run_id: RunId


async def begin(services: Services, wanted: NewTenant, actor: str) -> Onboarding:
    """Write down a request for `wanted`, or one more attempt at one that failed, and launch its run.

    Raises:
        PermanentError: TENANT_EXISTS, REQUEST_IN_PROGRESS, NOT_BOOTSTRAPPED; nothing was written.
        TransientError: DAGSTER_UNAVAILABLE; nothing was written, or the request is FAILED and can be sent again.
    """
    await services.dagster.ping()
    earlier = await services.blocking(_earlier_request, services, wanted)
    if earlier is not None and earlier.is_open:
        await _close_if_abandoned(services, earlier, actor)
    asked = RequestEvent(
        request_id=earlier.request_id if earlier else new_request_id(),
        tenant_id=wanted.tenant_id,
        state=RequestState.REQUESTED,
        recorded_at=services.clock(),
        actor=actor,
        attempt=earlier.attempt + 1 if earlier else 1,
        parameters=wanted,
    )
    await services.blocking(services.requests.append, asked)
    try:
        run_id = await launch(
            services,
            JOB,
            {"onboard": {**wanted.as_json(), "request_id": asked.request_id}},
            {REQUEST_TAG: asked.request_id, TENANT_TAG: wanted.tenant_id, ACTOR_TAG: actor},
        )
    except ConvergenceError as error:
        await _record_unlaunched(services, asked, error)
        raise
    return Onboarding(asked.request_id, run_id)


def _earlier_request(services: Services, wanted: NewTenant) -> TenantRequest | None:
    """The open or failed request to go on with, if any; blocks."""
    refuse_if_there(services.tenants.get(wanted.tenant_id))
    return resumable(services.requests.all_for(wanted.tenant_id))


async def _close_if_abandoned(services: Services, request: TenantRequest, actor: str) -> None:
    """Write FAILED for an open request that nothing works on.

    Raises:
        PermanentError: REQUEST_IN_PROGRESS if something does.
    """
    if not is_abandoned(request, await _statuses(services, request), services.clock()):
        raise in_progress(request)
    closed = RequestEvent(
        request_id=request.request_id,
        tenant_id=request.tenant_id,
        state=RequestState.FAILED,
        recorded_at=services.clock(),
        actor=actor,
        attempt=request.attempt,
        run_id=request.run_id,
        reason="Its run ended, or was never launched, and nothing was written about it.",
        error_code=ErrorCode.UNAVAILABLE,
    )
    await services.blocking(services.requests.append, closed)


async def _statuses(services: Services, request: TenantRequest) -> list[RunStatus]:
    """Of every run that is known to work on the request: those the API launched, and one started by hand."""
    known = await services.dagster.tagged(JOB, REQUEST_TAG, request.request_id)
    if request.run_id is not None and request.run_id not in known:
        by_hand = RunId(request.run_id)
        known[by_hand] = (await services.dagster.wait(by_hand, 0)).status
    return list(known.values())


async def _record_unlaunched(services: Services, asked: RequestEvent, error: ConvergenceError) -> None:
    failed = RequestEvent(
        request_id=asked.request_id,
        tenant_id=asked.tenant_id,
        state=RequestState.FAILED,
        recorded_at=services.clock(),
        actor=asked.actor,
        attempt=asked.attempt,
        reason=error.message,
        error_code=error.code,
    )
    try:
        await services.blocking(services.requests.append, failed)
    except ConvergenceError as second:
        # it stays REQUESTED without a run, which the next request for this id finds out
        _log.error(
            "A request's failure could not be written down",
            tenant_request=asked.request_id,
            reason=second.message,
        )
