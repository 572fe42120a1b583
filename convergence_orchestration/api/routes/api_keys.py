"""Tenants' keys for administrators: issue, rotate, reveal once. Revoking is `key_revocations.py`, looking `key_list.py`."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from convergence_orchestration.api import key_calls
from convergence_orchestration.api.auth import AdministratorRoute, admin_key_header, administrator_of
from convergence_orchestration.api.context import context_of
from convergence_orchestration.api.key_bodies import (
    KeyAccepted,
    KeyDelivered,
    KeyRotated,
    KeyWanted,
    RotationWanted,
)
from convergence_orchestration.api.key_revocations import find_key
from convergence_orchestration.api.launching import IdempotencyKeyHeader, PreferHeader, accepted
from convergence_orchestration.api.prefer import wait_seconds
from convergence_orchestration.api.runs import RunId
from convergence_orchestration.api.services import Services, services_of
from convergence_orchestration.api.statuses import ADMINISTRATION_ERRORS, documented
from convergence_orchestration.api.tenant_calls import Caller, caller_who_asks
from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.keys.delivery import Delivered, Delivery
from convergence_orchestration.keys.issuing import NewKey
from convergence_orchestration.keys.model import (
    KeyId,
    checked_description,
    key_id_of_request,
    new_key_id,
    parse_expiry,
    parse_grace,
    parse_key_id,
    parse_scopes,
)
from convergence_orchestration.keys.rotating import Rotation
from convergence_orchestration.tenancy.model import TenantId, parse_tenant_id

router = APIRouter(
    prefix="/api/v1/admin/api-keys",
    tags=["keys"],
    route_class=AdministratorRoute,
    dependencies=[admin_key_header],
)

_ERRORS = (
    *ADMINISTRATION_ERRORS,
    ErrorCode.BODY_TOO_LARGE,
    ErrorCode.MALFORMED_JSON,
    ErrorCode.TENANT_NOT_ACTIVE,
    ErrorCode.IDEMPOTENCY_KEY_REUSED,
    ErrorCode.KEY_ALREADY_DELIVERED,
    ErrorCode.FAILED_PRECONDITION,
    ErrorCode.DAGSTER_UNAVAILABLE,
    ErrorCode.DATA_CORRUPTED,
    ErrorCode.DEADLINE_EXCEEDED,
)
_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "model": KeyAccepted,
        "description": "The run goes on; POST to Location reveals the key after it, and so does the same request again "
        "if it has an Idempotency-Key.",
    }
}


@router.post(
    "",
    summary="Issue a tenant's key",
    response_model=KeyDelivered,
    responses=_ACCEPTED
    | documented(
        *_ERRORS,
        ErrorCode.INVALID_TENANT_ID,
        ErrorCode.RESERVED_TENANT_ID,
        ErrorCode.TENANT_NOT_FOUND,
        ErrorCode.KEY_EXISTS,
    ),
)
async def create_key(
    request: Request,
    body: KeyWanted,
    prefer: PreferHeader = None,
    idempotency_key: IdempotencyKeyHeader = None,
) -> KeyDelivered | JSONResponse:
    """A key for an ACTIVE tenant whose plan allows one more, issued by a Dagster run and shown this once.

    With an Idempotency-Key the same request gets the same key again for ten minutes after it was first answered.
    """
    services, context = services_of(request), context_of(request.scope)
    wanted = _issue(services, body, caller_who_asks(request, idempotency_key), context.request_id)
    context.tenant_id = wanted.tenant_id
    seconds = wait_seconds(prefer, services.settings.run_wait_seconds)
    made = await key_calls.make(services, key_calls.issue_run(services, wanted), seconds)
    if not made.is_done:
        return _go_on(services, wanted.key_id, wanted.tenant_id, made.run_id)
    asked = Delivery(wanted.key_id, wanted.actor, context.request_id, wanted.is_repeatable)
    return _shown_once(services, await key_calls.hand_over(services, asked), made.run_id)


@router.post(
    "/{key_id}/rotate",
    summary="Replace a key by a new one",
    response_model=KeyRotated,
    responses=_ACCEPTED | documented(*_ERRORS, ErrorCode.KEY_NOT_FOUND, ErrorCode.REQUEST_IN_PROGRESS),
)
async def rotate_key(
    request: Request,
    key_id: str,
    body: RotationWanted,
    prefer: PreferHeader = None,
    idempotency_key: IdempotencyKeyHeader = None,
) -> KeyRotated | JSONResponse:
    """A new key in the place of an ACTIVE one, which works for `grace_seconds` longer; the new one is shown this once."""
    services, context = services_of(request), context_of(request.scope)
    caller = caller_who_asks(request, idempotency_key)
    wanted = _rotation(services, parse_key_id(key_id), body, caller, context.request_id)
    tenant_id = context.tenant_id = (await find_key(services, wanted.key_id)).tenant_id
    seconds = wait_seconds(prefer, services.settings.run_wait_seconds)
    made = await key_calls.make(services, key_calls.rotate_run(services, tenant_id, wanted), seconds)
    if not made.is_done:
        return _go_on(services, wanted.new_key_id, tenant_id, made.run_id)
    asked = Delivery(wanted.new_key_id, wanted.actor, context.request_id, wanted.is_repeatable)
    delivered = await key_calls.hand_over(services, asked)
    old = await find_key(services, wanted.key_id)
    key_calls.let_end(services, old, wanted.actor)
    shown = _shown_once(services, delivered, made.run_id)
    ends_at = old.ends_at or delivered.record.issued_at
    return KeyRotated(**shown.model_dump(), old_key_id=old.key_id, old_key_ends_at=ends_at)


@router.post(
    "/{key_id}/reveal",
    summary="Hand over an issued key, once",
    responses=documented(
        *ADMINISTRATION_ERRORS,
        ErrorCode.KEY_NOT_FOUND,
        ErrorCode.KEY_ALREADY_DELIVERED,
        ErrorCode.FAILED_PRECONDITION,
        ErrorCode.DATA_CORRUPTED,
        ErrorCode.DEADLINE_EXCEEDED,
    ),
)
async def reveal_key(request: Request, key_id: str) -> KeyDelivered:
    """The key that a run issued, from the Dagster UI or past a caller's patience; the second time it is refused."""
    services, context = services_of(request), context_of(request.scope)
    asked = Delivery(parse_key_id(key_id), administrator_of(request), context.request_id)
    delivered = await key_calls.hand_over(services, asked)
    context.tenant_id = delivered.record.tenant_id
    return _shown_once(services, delivered, None)


def _issue(services: Services, body: KeyWanted, caller: Caller, request_id: str) -> NewKey:
    return NewKey(
        key_id=_new_key_id("issue", caller),
        tenant_id=parse_tenant_id(body.tenant_id),
        environment=services.settings.environment,
        actor=caller.actor,
        description=checked_description(body.description),
        scopes=parse_scopes(body.scopes or ()),
        expires_at=parse_expiry(body.expires_at or "", services.clock()),
        request_id=request_id,
        is_repeatable=caller.idempotency_key is not None,
    )


def _rotation(
    services: Services, key_id: KeyId, body: RotationWanted, caller: Caller, request_id: str
) -> Rotation:
    return Rotation(
        key_id=key_id,
        new_key_id=_new_key_id("rotate", caller),
        grace=parse_grace(body.grace_seconds, services.settings.key_rotation_max_grace_seconds),
        actor=caller.actor,
        description=None if body.description is None else checked_description(body.description),
        scopes=None if body.scopes is None else parse_scopes(body.scopes),
        expires_at=parse_expiry(body.expires_at or "", services.clock()),
        request_id=request_id,
        is_repeatable=caller.idempotency_key is not None,
    )


def _new_key_id(doing: str, caller: Caller) -> KeyId:
    if caller.idempotency_key is None:
        return new_key_id()
    return key_id_of_request(doing, caller.actor, caller.idempotency_key)


def _go_on(services: Services, key_id: KeyId, tenant_id: TenantId, run_id: RunId | None) -> JSONResponse:
    location = f"/api/v1/admin/api-keys/{key_id}/reveal"
    body = KeyAccepted(
        run_id=run_id or "",
        run_url=services.run_url(run_id) or "",
        message=f"The key is being issued: POST {location} hands it over once the run has succeeded.",
        key_id=key_id,
        tenant_id=tenant_id,
    )
    return accepted(body, location)


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
        run_url=services.run_url(run_id),
    )
