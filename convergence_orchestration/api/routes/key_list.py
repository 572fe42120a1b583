"""Looking at tenants' keys for administrators: pages of them, or one. Never a key, and no hash in full."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request

from convergence_orchestration.api.auth import AdministratorRoute, admin_key_header
from convergence_orchestration.api.context import context_of
from convergence_orchestration.api.key_bodies import KeyListed, KeyPage
from convergence_orchestration.api.key_cursors import cursor_at, parse_cursor
from convergence_orchestration.api.services import Services, services_of
from convergence_orchestration.api.statuses import ADMINISTRATION_ERRORS, documented
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.keys.listing import KeyFilter, page
from convergence_orchestration.keys.model import KEY_ID_PATTERN, KeyId, KeyRecord
from convergence_orchestration.keys.states import KeyState
from convergence_orchestration.keys.usage import last_used
from convergence_orchestration.tenancy.model import TENANT_ID_PATTERN, TenantId

MOST_IN_A_PAGE = 200
_HASH_DIGITS = 8

router = APIRouter(
    prefix="/api/v1/admin/api-keys",
    tags=["keys"],
    route_class=AdministratorRoute,
    dependencies=[admin_key_header],
)


@router.get("", summary="List keys", responses=documented(*ADMINISTRATION_ERRORS))
async def list_keys(
    request: Request,
    *,
    tenant_id: Annotated[
        str | None, Query(pattern=TENANT_ID_PATTERN, description="Only this tenant's.")
    ] = None,
    state: Annotated[KeyState | None, Query(description="Only those in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_IN_A_PAGE, description="Keys in a page.")] = 50,
    before: Annotated[str | None, Query(max_length=200, description="The last page's next_before.")] = None,
) -> KeyPage:
    """Keys, the newest first; states are as of now."""
    services = services_of(request)
    wanted = KeyFilter(TenantId(tenant_id) if tenant_id else None, state)
    behind = parse_cursor(before) if before else None
    found = await services.blocking(page, services.bigquery, limit + 1, wanted, behind, services.clock())
    shown = found[:limit]
    return KeyPage(
        keys=await _listed(services, shown),
        next_before=cursor_at(shown[-1]) if len(found) > limit else None,
    )


@router.get(
    "/{key_id}",
    summary="Look at a key",
    responses=documented(*ADMINISTRATION_ERRORS, ErrorCode.KEY_NOT_FOUND),
)
async def get_key(request: Request, key_id: str) -> KeyListed:
    """One key: its state, when it ends and what replaces it."""
    services = services_of(request)
    record = None
    if re.fullmatch(KEY_ID_PATTERN, key_id):
        record = await services.blocking(services.ledger.get, KeyId(key_id))
    if record is None:
        raise PermanentError(ErrorCode.KEY_NOT_FOUND, "Check the key id: no such key was issued.")
    context_of(request.scope).tenant_id = record.tenant_id
    (listed,) = await _listed(services, [record])
    return listed


async def _listed(services: Services, records: Sequence[KeyRecord]) -> list[KeyListed]:
    if not records:
        return []
    used = await services.blocking(last_used, services.bigquery, [record.key_id for record in records])
    return [_shown(services, record, used.get(record.key_id)) for record in records]


def _shown(services: Services, record: KeyRecord, last_used_at: datetime | None) -> KeyListed:
    return KeyListed(
        key_id=record.key_id,
        tenant_id=record.tenant_id,
        state=record.state(services.clock()),
        description=record.description,
        scopes=list(record.scopes),
        key_hash_prefix=record.key_hash[:_HASH_DIGITS],
        issued_at=record.issued_at,
        issued_by=record.actor,
        delivered_at=record.delivered_at,
        last_used_at=last_used_at,
        expires_at=record.expires_at,
        ends_at=record.ends_at,
        revoked_at=record.revoked_at,
        rotated_at=record.rotated_at,
        successor_key_id=record.successor_key_id,
        run_id=record.run_id,
        run_url=services.run_url(record.run_id),
    )
