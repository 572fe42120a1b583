"""Tenants' keys for administrators: issue, reveal once, revoke."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse

from convergence_orchestration.api import key_calls
from convergence_orchestration.api.auth import AdministratorRoute, admin_key_header, administrator_of
from convergence_orchestration.api.bodies import Accepted, KeyAccepted, KeyDelivered, KeyRevoked, KeyWanted
from convergence_orchestration.api.context import context_of
from convergence_orchestration.api.launching import PreferHeader, accepted, outcome_of
from convergence_orchestration.api.prefer import wait_seconds
from convergence_orchestration.api.runs import RunId, RunStatus
from convergence_orchestration.api.services import Services, services_of
from convergence_orchestration.api.statuses import ADMINISTRATION_ERRORS, documented
from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.keys.delivery import Delivered
from convergence_orchestration.keys.issuing import NewKey
from convergence_orchestration.keys.model import (
    KeyRecord,
    new_key_id,
    parse_expiry,
    parse_key_id,
    parse_scopes,
)
from convergence_orchestration.tenancy.model import parse_tenant_id

router = APIRouter(
    prefix="/api/v1/admin/api-keys",
    tags=["keys"],
    route_class=AdministratorRoute,
    dependencies=[admin_key_header],
)


@router.post(
    "",
    summary="Issue a tenant's key",
    response_model=KeyDelivered,
    responses={
        202: {
            "model": KeyAccepted,
            "description": "The run goes on; POST to Location reveals the key after it.",
        },
        **documented(
            *ADMINISTRATION_ERRORS,
            ErrorCode.BODY_TOO_LARGE,
            ErrorCode.MALFORMED_JSON,
            ErrorCode.INVALID_TENANT_ID,
            ErrorCode.RESERVED_TENANT_ID,
            ErrorCode.TENANT_NOT_FOUND,
            ErrorCode.TENANT_NOT_ACTIVE,
            ErrorCode.KEY_EXISTS,
            ErrorCode.DAGSTER_UNAVAILABLE,
        ),
    },
)
async def create_key(
    request: Request, body: KeyWanted, prefer: PreferHeader = None
) -> KeyDelivered | JSONResponse:
    """A key for an ACTIVE tenant which has none, issued by a Dagster run and shown this once."""
    services, context = services_of(request), context_of(request.scope)
    wanted = _parsed(services, body, administrator_of(request), context.request_id)
    context.tenant_id = wanted.tenant_id
    run_id = await key_calls.begin_issue(services, wanted)
    run_url = services.dagster.run_url(run_id)
    outcome = await outcome_of(services, run_id, wait_seconds(prefer, services.settings.run_wait_seconds))
    if outcome.status is RunStatus.SUCCESS:
        delivered = await key_calls.hand_over(services, wanted.key_id, wanted.actor, context.request_id)
        return _shown_once(services, delivered, run_id)
    location = f"/api/v1/admin/api-keys/{wanted.key_id}/reveal"
    body_202 = KeyAccepted(
        run_id=run_id,
        run_url=run_url,
        message=f"The key is being issued: POST {location} hands it over once the run has succeeded.",
        key_id=wanted.key_id,
        tenant_id=wanted.tenant_id,
    )
    return accepted(body_202, location)


@router.post(
    "/{key_id}/reveal",
    summary="Hand over an issued key, once",
    responses=documented(
        *ADMINISTRATION_ERRORS,
        ErrorCode.KEY_NOT_FOUND,
        ErrorCode.KEY_ALREADY_DELIVERED,
        ErrorCode.FAILED_PRECONDITION,
    ),
)
async def reveal_key(request: Request, key_id: str) -> KeyDelivered:
    """The key that a run issued, from the Dagster UI or past a caller's patience; the second time it is refused."""
    services, actor = services_of(request), administrator_of(request)
    delivered = await key_calls.hand_over(
        services, parse_key_id(key_id), actor, context_of(request.scope).request_id
    )
    context_of(request.scope).tenant_id = delivered.record.tenant_id
    return _shown_once(services, delivered, None)


@router.delete(
    "/{key}",
    summary="Revoke a key",
    response_model=KeyRevoked,
    responses={
        202: {"model": Accepted, "description": "The run goes on; Location names it."},
        **documented(*ADMINISTRATION_ERRORS, ErrorCode.KEY_NOT_FOUND, ErrorCode.DAGSTER_UNAVAILABLE),
    },
)
async def revoke_key(
    request: Request,
    key: str,
    reason: Annotated[str, Query(max_length=500, description="Why, for the ledger.")] = "",
    prefer: PreferHeader = None,
) -> KeyRevoked | JSONResponse:
    """Refuse a key, named by its id or its SHA-256, from now on; one that is revoked already stays so."""
    services, actor = services_of(request), administrator_of(request)
    record = await key_calls.find_key(services, key)
    context_of(request.scope).tenant_id = record.tenant_id
    if record.revoked_at is not None:
        return _revoked(services, record, None)
    await services.dagster.ping()
    run_id = await key_calls.begin_revoke(
        services, record, reason, actor, context_of(request.scope).request_id
    )
    outcome = await outcome_of(services, run_id, wait_seconds(prefer, services.settings.run_wait_seconds))
    if outcome.status is RunStatus.SUCCESS:
        key_calls.refuse_from_now_on(services, record, actor)
        return _revoked(services, await key_calls.find_key(services, record.key_id), run_id)
    run_url = services.dagster.run_url(run_id)
    message = "The run goes on: look at run_url, or send the same request again, which changes nothing twice."
    return accepted(Accepted(run_id=run_id, run_url=run_url, message=message), run_url)


def _parsed(services: Services, body: KeyWanted, actor: str, request_id: str) -> NewKey:
    return NewKey(
        key_id=new_key_id(),
        tenant_id=parse_tenant_id(body.tenant_id),
        environment=services.settings.environment,
        actor=actor,
        description=body.description,
        scopes=parse_scopes(body.scopes or ()),
        expires_at=parse_expiry(body.expires_at or "", services.clock()),
        request_id=request_id,
    )


def _shown_once(services: Services, delivered: Delivered, run_id: RunId | None) -> KeyDelivered:
    record = delivered.record
    return KeyDelivered(
        api_key=delivered.api_key.get_secret_value(),
        key_id=record.key_id,
        tenant_api_key_hash=record.key_hash,
        tenant_id=record.tenant_id,
        scopes=list(record.scopes),
        created_at=record.issued_at,
        expires_at=record.expires_at,
        description=record.description,
        run_id=run_id,
        run_url=services.dagster.run_url(run_id) if run_id else None,
    )


def _revoked(services: Services, record: KeyRecord, run_id: RunId | None) -> KeyRevoked:
    return KeyRevoked(
        key_id=record.key_id,
        tenant_id=record.tenant_id,
        revoked_at=record.revoked_at or services.clock(),
        run_id=run_id,
        run_url=services.dagster.run_url(run_id) if run_id else None,
    )
