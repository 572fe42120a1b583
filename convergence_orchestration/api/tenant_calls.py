"""How the API has a tenant made or changed: look, write down the request, launch its run, wait for it.

What belongs here: the order of these steps for one request. The API writes events alone; whatever changes, the run
changes. A request that is written down is carried out, by this process' launch or by `tenant_request_sensor`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request

from convergence_orchestration.api.admission import AlreadySo, Follow, Known, Write, admit, asked_before
from convergence_orchestration.api.auth import administrator_of
from convergence_orchestration.api.launching import (
    ACTOR_TAG,
    REQUEST_TAG,
    TENANT_TAG,
    launch_or_leave,
)
from convergence_orchestration.api.runs import RunId, RunStatus
from convergence_orchestration.api.services import Services
from convergence_orchestration.api.side_by_side import both
from convergence_orchestration.errors import TransientError
from convergence_orchestration.logs import logger
from convergence_orchestration.tenancy.asked import Asked, kind_of
from convergence_orchestration.tenancy.launches import FULFIL_JOB, FULFIL_OP, fulfil_config
from convergence_orchestration.tenancy.model import Tenant
from convergence_orchestration.tenancy.request_model import (
    BatchId,
    RequestEvent,
    RequestId,
    RequestState,
    TenantRequest,
    new_request_id,
    parse_idempotency_key,
    request_id_of_key,
)

_ENDED_BADLY = frozenset({RunStatus.FAILURE, RunStatus.CANCELED})
_log = logger(__name__)


@dataclass(frozen=True)
class Caller:
    """Who asks, and the Idempotency-Key that was sent, if any."""

    actor: str
    idempotency_key: str | None = None


@dataclass(frozen=True)
class Begun:
    """A request that was written down.

    Attributes:
        run_id: the run that works on it, or did; None while Dagster cannot be asked.
        tenant: its tenant as it was before; None if there was none.
        is_done: it was carried out before.
        is_alone: the run works on this request and on no other, so that its end is the request's.
        batch_id: the batch that it came with.
    """

    request_id: RequestId
    run_id: RunId | None
    tenant: Tenant | None
    is_done: bool = False
    is_alone: bool = False
    batch_id: BatchId | None = None


def caller_who_asks(request: Request, idempotency_key: str | None) -> Caller:
    """The administrator who sent `request` with this Idempotency-Key.

    Raises:
        PermanentError: INVALID_ARGUMENT for a key that is not of the form of one.
    """
    key = None if idempotency_key is None else parse_idempotency_key(idempotency_key)
    return Caller(administrator_of(request), key)


async def begin(services: Services, asked: Asked, caller: Caller) -> Begun | AlreadySo:
    """Write down a request for `asked`, or one more attempt at one that failed, and launch its run.

    Raises:
        PermanentError: IDEMPOTENCY_KEY_REUSED and those of `admission.admit`, NOT_BOOTSTRAPPED; nothing was written.
        ConvergenceError: whatever keeps BigQuery from reading or writing; sent again, it is the same request if it has
            an Idempotency-Key.
    """
    fresh_id = _fresh_id(asked, caller)
    async with services.turns.of(asked.tenant_id, fresh_id):
        known = await _look(services, asked, caller)
        admitted = admit(asked, known, fresh_id)
        if isinstance(admitted, AlreadySo):
            return admitted
        if isinstance(admitted, Follow):
            return await _followed(services, admitted.request, known.tenant, caller)
        await services.blocking(services.requests.append, requested(services, admitted, asked, caller))
        run_id = await _launch(services, admitted.request_id, asked, caller)
        return Begun(admitted.request_id, run_id, known.tenant, is_alone=True)


def requested(
    services: Services, admitted: Write, asked: Asked, caller: Caller, batch_id: BatchId | None = None
) -> RequestEvent:
    """The event that asks for it."""
    return RequestEvent(
        request_id=admitted.request_id,
        tenant_id=asked.tenant_id,
        kind=kind_of(asked),
        state=RequestState.REQUESTED,
        recorded_at=services.clock(),
        actor=caller.actor,
        attempt=admitted.attempt,
        parameters=asked,
        idempotency_key=caller.idempotency_key,
        batch_id=batch_id,
    )


def _fresh_id(asked: Asked, caller: Caller) -> RequestId:
    if caller.idempotency_key is None:
        return new_request_id()
    return request_id_of_key(kind_of(asked), caller.actor, caller.idempotency_key)


async def _look(services: Services, asked: Asked, caller: Caller) -> Known:
    reading = both(
        services.blocking(services.tenants.get, asked.tenant_id),
        services.blocking(services.requests.all_for, asked.tenant_id),
    )
    if caller.idempotency_key is None:
        return Known(*await reading)
    (tenant, requests), same = await both(reading, _same(services, asked, caller, caller.idempotency_key))
    return Known(tenant, requests, same)


async def _same(
    services: Services, asked: Asked, caller: Caller, idempotency_key: str
) -> TenantRequest | None:
    reading = services.blocking(
        services.requests.asked_with_key, kind_of(asked), caller.actor, idempotency_key
    )
    return asked_before(asked, idempotency_key, await reading)


async def _followed(
    services: Services, request: TenantRequest, tenant: Tenant | None, caller: Caller
) -> Begun:
    """The request as it was begun before; an open one that no run works on gets another run."""
    if request.state is RequestState.DONE:
        run_id = RunId(request.run_id) if request.run_id else None
        return Begun(request.request_id, run_id, tenant, is_done=True, batch_id=request.batch_id)
    try:
        run_id = await _live_run(services, request)
    except TransientError as error:
        _log.warning("Dagster could not be asked who works on a request", reason=error.message)
        return Begun(request.request_id, None, tenant)
    if run_id is None:
        run_id = await _launch(services, request.request_id, request.parameters, caller)
    return Begun(request.request_id, run_id, tenant)


async def _live_run(services: Services, request: TenantRequest) -> RunId | None:
    """A run that works on the open request: one that was launched for it, or another one that has begun with it."""
    statuses = await services.dagster.tagged(FULFIL_JOB, REQUEST_TAG, request.request_id)
    if request.run_id is not None and request.run_id not in statuses:
        other = RunId(request.run_id)
        statuses[other] = (await services.dagster.wait(other, 0)).status
    return next((run_id for run_id, status in statuses.items() if status not in _ENDED_BADLY), None)


async def _launch(services: Services, request_id: RequestId, asked: Asked, caller: Caller) -> RunId | None:
    tags = {REQUEST_TAG: request_id, TENANT_TAG: asked.tenant_id, ACTOR_TAG: caller.actor}
    return await launch_requests(services, [request_id], tags)


async def launch_requests(
    services: Services, request_ids: Sequence[RequestId], tags: dict[str, str]
) -> RunId | None:
    """A run that carries out these requests; None if Dagster took none, and then the sensor launches one later."""
    return await launch_or_leave(services, FULFIL_JOB, {FULFIL_OP: fulfil_config(request_ids)}, tags)
