"""Batches for administrators: ask for up to a thousand tenants at once, and look how far they are."""

import re

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from convergence_orchestration.api.admission import Follow, outlook_of
from convergence_orchestration.api.auth import AdministratorRoute, admin_key_header
from convergence_orchestration.api.batch_rows import Admitted, Refused
from convergence_orchestration.api.batches import BatchBegun, begin_batch
from convergence_orchestration.api.context import context_of
from convergence_orchestration.api.launching import IdempotencyKeyHeader, accepted
from convergence_orchestration.api.services import services_of
from convergence_orchestration.api.statuses import ADMINISTRATION_ERRORS, documented
from convergence_orchestration.api.tenant_bodies import (
    MOST_IN_A_BATCH,
    AcceptedRow,
    BatchAccepted,
    BatchFacts,
    BatchWanted,
    FailedRequest,
    NextFacts,
    RefusedRow,
)
from convergence_orchestration.api.tenant_calls import caller_who_asks
from convergence_orchestration.api.tenant_outcomes import next_facts
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.request_model import (
    BATCH_ID_PATTERN,
    OPEN_STATES,
    BatchId,
    RequestState,
    TenantRequest,
)
from convergence_orchestration.tenancy.requests import BatchProgress, RequestFilter
from convergence_orchestration.tenancy.retries import NextStep

MOST_FAILURES_SHOWN = 100

router = APIRouter(
    prefix="/api/v1/admin",
    tags=["tenants"],
    route_class=AdministratorRoute,
    dependencies=[admin_key_header],
)


@router.post(
    "/tenants:batch",
    summary="Make many tenants",
    status_code=202,
    responses={
        202: {"model": BatchAccepted, "description": "Location is the batch to ask for."},
        **documented(
            *ADMINISTRATION_ERRORS,
            ErrorCode.BODY_TOO_LARGE,
            ErrorCode.MALFORMED_JSON,
            ErrorCode.IDEMPOTENCY_KEY_REUSED,
            ErrorCode.RATE_LIMITED,
        ),
    },
)
async def create_tenants(
    request: Request, body: BatchWanted, idempotency_key: IdempotencyKeyHeader = None
) -> JSONResponse:
    """Make up to 1,000 tenants by one Dagster run. Each row is checked alone; those that cannot be made are listed.

    Sent again with its Idempotency-Key, it is the same batch: what is done stays, what failed is tried again.
    """
    services, caller = services_of(request), caller_who_asks(request, idempotency_key)
    await services.limits.charge_tenant_creation(caller.actor, context_of(request.scope))
    begun = await begin_batch(services, body.tenants, caller)
    location = f"/api/v1/admin/tenant-batches/{begun.batch_id}"
    body_202 = BatchAccepted(
        batch_id=begun.batch_id,
        accepted=len(begun.accepted),
        refused=[_refused(row) for row in begun.refused],
        requests=[_accepted(each) for each in begun.accepted],
        run_id=begun.run_id,
        run_url=services.run_url(begun.run_id),
        message=_message(begun, location),
    )
    return accepted(body_202, location)


@router.get(
    "/tenant-batches/{batch_id}",
    summary="Look at a batch",
    responses=documented(*ADMINISTRATION_ERRORS, ErrorCode.NOT_FOUND),
)
async def get_batch(request: Request, batch_id: str) -> BatchFacts:
    """How many requests of a batch are in which state, and why some failed."""
    services = services_of(request)
    if not re.fullmatch(BATCH_ID_PATTERN, batch_id):
        raise _no_such_batch()
    progress = await services.blocking(services.requests.batch, BatchId(batch_id))
    if progress is None:
        raise _no_such_batch()
    failed: list[TenantRequest] = []
    if RequestState.FAILED in progress.counts:
        wanted = RequestFilter(state=RequestState.FAILED, batch_id=BatchId(batch_id))
        failed = await services.blocking(services.requests.page, MOST_IN_A_BATCH, wanted)
    return batch_facts(batch_id, progress, failed)


def batch_facts(batch_id: str, progress: BatchProgress, failed: list[TenantRequest]) -> BatchFacts:
    """The answer, from the counts and from every request that failed."""
    is_open = any(progress.counts.get(state) for state in OPEN_STATES)
    is_retried = any(outlook_of(request).step is NextStep.RETRY for request in failed)
    return BatchFacts(
        batch_id=batch_id,
        total=sum(progress.counts.values()),
        counts={state: progress.counts.get(state, 0) for state in RequestState},
        is_finished=not is_open and not is_retried,
        requested_at=progress.requested_at,
        updated_at=progress.updated_at,
        failures=[_failed(request) for request in failed[:MOST_FAILURES_SHOWN]],
    )


def _message(begun: BatchBegun, location: str) -> str:
    refused = f", {len(begun.refused)} rows were refused" if begun.refused else ""
    if not begun.to_do:
        return f"All {len(begun.accepted)} tenants are made{refused}."
    made = f"{begun.to_do} tenants are being made{refused}: GET {location} tells how far they are."
    if begun.run_id is not None:
        return made
    return f"{made} Dagster took no run now, so it begins by itself as soon as Dagster can be asked again."


def _accepted(each: Admitted) -> AcceptedRow:
    decision = each.decision
    request_id = decision.request.request_id if isinstance(decision, Follow) else decision.request_id
    return AcceptedRow(index=each.row.index, tenant_id=each.row.asked.tenant_id, request_id=request_id)


def _refused(row: Refused) -> RefusedRow:
    return RefusedRow(index=row.index, tenant_id=row.tenant_id, code=row.code, message=row.message)


def _failed(request: TenantRequest) -> FailedRequest:
    return FailedRequest(
        tenant_id=request.tenant_id,
        request_id=request.request_id,
        error_code=request.error_code,
        reason=request.reason,
        next=NextFacts.model_validate(next_facts(outlook_of(request))),
    )


def _no_such_batch() -> PermanentError:
    return PermanentError(ErrorCode.NOT_FOUND, "Check the batch id: there is no such batch.")
