"""The audit log for administrators: pages, the newest first. Whether it is whole, `convergence audit verify` says."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime

from convergence_orchestration.api.audit_bodies import AuditPage, AuditRowFacts
from convergence_orchestration.api.auth import AdministratorRoute, admin_key_header
from convergence_orchestration.api.cursors import cursor_behind, parse_audit_cursor
from convergence_orchestration.api.services import services_of
from convergence_orchestration.api.statuses import ADMINISTRATION_ERRORS, documented
from convergence_orchestration.audit.log import AuditFilter
from convergence_orchestration.audit.model import ChainedRow, Outcome
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.model import TENANT_ID_PATTERN

MOST_IN_A_PAGE = 200

router = APIRouter(
    prefix="/api/v1/admin",
    tags=["administration"],
    route_class=AdministratorRoute,
    dependencies=[admin_key_header],
)


@router.get("/audit", summary="Read the audit log", responses=documented(*ADMINISTRATION_ERRORS))
async def list_audit(  # noqa: PLR0913 one for each parameter
    request: Request,
    *,
    tenant_id: Annotated[
        str | None, Query(pattern=TENANT_ID_PATTERN, description="Only what concerns this tenant.")
    ] = None,
    actor: Annotated[
        str | None, Query(min_length=1, max_length=200, description="Only what this actor did.")
    ] = None,
    action: Annotated[
        str | None,
        Query(pattern=r"^[a-z][a-z0-9_.]{0,99}$", description="Only this action, for example tenant.create."),
    ] = None,
    outcome: Annotated[Outcome | None, Query(description="Only what ended so.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Not before: ISO 8601 with its offset.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Before: ISO 8601 with its offset.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_IN_A_PAGE, description="Rows in a page.")] = 50,
    before: Annotated[str | None, Query(max_length=500, description="The last page's next_before.")] = None,
) -> AuditPage:
    """Who did what to what, when, from where and with what outcome, the newest first. This call is in it too."""
    services = services_of(request)
    _check_order(since, until)
    wanted = AuditFilter(tenant_id, actor, action, outcome, since, until)
    behind = parse_audit_cursor(before) if before else None
    found = await services.blocking(services.audit.log.page, limit + 1, wanted, behind)
    shown = found[:limit]
    return AuditPage(
        rows=[_facts(row) for row in shown],
        next_before=cursor_behind(shown[-1]) if len(found) > limit else None,
    )


def _check_order(since: datetime | None, until: datetime | None) -> None:
    if since is not None and until is not None and since >= until:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT, "Give `until` as a time after `since`.", {"field": "until"}
        )


def _facts(row: ChainedRow) -> AuditRowFacts:
    return AuditRowFacts(**asdict(row))
