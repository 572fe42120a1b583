"""Requests about tenants for administrators: list them, look at one with everything that happened to it."""

import re
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from convergence_orchestration.api.admission import outlook_of
from convergence_orchestration.api.auth import AdministratorRoute, admin_key_header
from convergence_orchestration.api.cursors import cursor_at, parse_cursor
from convergence_orchestration.api.request_timeline import seconds_between, timeline
from convergence_orchestration.api.services import Services, services_of
from convergence_orchestration.api.statuses import ADMINISTRATION_ERRORS, documented
from convergence_orchestration.api.tenant_bodies import (
    Durations,
    RequestEventFacts,
    TenantRequestFacts,
    TenantRequestPage,
    TenantRequestSummary,
)
from convergence_orchestration.api.tenant_outcomes import next_facts
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.asked import RequestKind
from convergence_orchestration.tenancy.model import TENANT_ID_PATTERN, TenantId
from convergence_orchestration.tenancy.request_history import request_of
from convergence_orchestration.tenancy.request_model import (
    BATCH_ID_PATTERN,
    REQUEST_ID_PATTERN,
    BatchId,
    RequestEvent,
    RequestId,
    RequestState,
    TenantRequest,
)
from convergence_orchestration.tenancy.requests import RequestFilter

MOST_IN_A_PAGE = 200

router = APIRouter(
    prefix="/api/v1/admin/tenant-requests",
    tags=["tenants"],
    route_class=AdministratorRoute,
    dependencies=[admin_key_header],
)


@router.get("", summary="List requests", responses=documented(*ADMINISTRATION_ERRORS))
async def list_requests(
    request: Request,
    *,
    tenant_id: Annotated[
        str | None, Query(pattern=TENANT_ID_PATTERN, description="Only this tenant's.")
    ] = None,
    state: Annotated[RequestState | None, Query(description="Only those in this state.")] = None,
    kind: Annotated[RequestKind | None, Query(description="Only those of this kind.")] = None,
    batch_id: Annotated[str | None, Query(pattern=BATCH_ID_PATTERN, description="Only this batch's.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_IN_A_PAGE, description="Requests in a page.")] = 50,
    before: Annotated[str | None, Query(max_length=200, description="The last page's next_before.")] = None,
) -> TenantRequestPage:
    """Requests about tenants, the newest first."""
    services = services_of(request)
    wanted = RequestFilter(
        TenantId(tenant_id) if tenant_id else None, state, kind, BatchId(batch_id) if batch_id else None
    )
    behind = parse_cursor(before) if before else None
    found = await services.blocking(services.requests.page, limit + 1, wanted, behind)
    shown = found[:limit]
    return TenantRequestPage(
        requests=[TenantRequestSummary(**_summary(services, each)) for each in shown],
        next_before=cursor_at(shown[-1]) if len(found) > limit else None,
    )


@router.get(
    "/{request_id}",
    summary="Look at a request for a tenant",
    responses=documented(*ADMINISTRATION_ERRORS, ErrorCode.NOT_FOUND),
)
async def get_tenant_request(request: Request, request_id: str) -> TenantRequestFacts:
    """How far a request has come with everything that happened to it, on failure why, and what happens next."""
    services = services_of(request)
    if not re.fullmatch(REQUEST_ID_PATTERN, request_id):
        raise _no_such_request()
    events = await services.blocking(services.requests.events, RequestId(request_id))
    found = request_of(events)
    if found is None:
        raise _no_such_request()
    taken = timeline(events, services.clock())
    return TenantRequestFacts(
        **_summary(services, found),
        events=_events(services, events),
        durations=Durations(
            waited_seconds=taken.waited, worked_seconds=taken.worked, total_seconds=taken.total
        ),
    )


def _summary(services: Services, request: TenantRequest) -> dict[str, Any]:
    return {
        **asdict(request),
        "parameters": asdict(request.parameters),
        "run_url": services.run_url(request.run_id),
        "next": next_facts(outlook_of(request)),
    }


def _events(services: Services, events: list[RequestEvent]) -> list[RequestEventFacts]:
    return [
        RequestEventFacts(
            state=event.state,
            attempt=event.attempt,
            recorded_at=event.recorded_at,
            actor=event.actor,
            run_id=event.run_id,
            run_url=services.run_url(event.run_id),
            reason=event.reason,
            error_code=event.error_code,
            seconds=seconds,
        )
        for event, seconds in zip(events, seconds_between(events), strict=True)
    ]


def _no_such_request() -> PermanentError:
    return PermanentError(ErrorCode.NOT_FOUND, "Check the request id: there is no such request.")
