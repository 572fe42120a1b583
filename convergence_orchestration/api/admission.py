"""What becomes of a request about a tenant that somebody asks for: the decision alone, on what was read before.

What belongs here: pure functions over tenants, requests and events. Asking and writing is `tenant_calls.py` and
`batches.py`. What is refused here saves a run; the run, whose statements check again, decides for good.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy import changes
from convergence_orchestration.tenancy.asked import Asked, NewTenant, RequestKind, kind_of
from convergence_orchestration.tenancy.model import Tenant, TenantState
from convergence_orchestration.tenancy.request_history import request_of, resumable
from convergence_orchestration.tenancy.request_model import (
    RequestEvent,
    RequestId,
    RequestState,
    TenantRequest,
)
from convergence_orchestration.tenancy.retries import NextStep, Outlook, outlook


@dataclass(frozen=True)
class Known:
    """What was read before deciding.

    Attributes:
        requests: every request about the tenant, the latest at the end.
        same: the request for which the caller has asked before, with the same Idempotency-Key.
    """

    tenant: Tenant | None
    requests: Sequence[TenantRequest] = ()
    same: TenantRequest | None = None


@dataclass(frozen=True)
class Write:
    """Write down this attempt, counted from 1, of a request that is new or failed."""

    request_id: RequestId
    attempt: int = 1


@dataclass(frozen=True)
class Follow:
    """Write nothing: the caller has asked for this before, and it is open or done."""

    request: TenantRequest


@dataclass(frozen=True)
class AlreadySo:
    """Write nothing: the tenant is as asked."""

    tenant: Tenant


def admit(asked: Asked, known: Known, fresh_id: RequestId) -> Write | Follow | AlreadySo:
    """What to do about `asked`; a request that is new gets `fresh_id`.

    Raises:
        PermanentError: TENANT_EXISTS, TENANT_DELETED, TENANT_NOT_FOUND, FAILED_PRECONDITION, REQUEST_IN_PROGRESS.
    """
    if known.same is not None and known.same.state is not RequestState.FAILED:
        return Follow(known.same)
    earlier = known.same or _continued(asked, known.requests)
    _refuse(asked, known, earlier)
    if known.tenant is not None and _is_already_so(known.tenant, asked):
        return AlreadySo(known.tenant)
    if earlier is None:
        return Write(fresh_id)
    return Write(earlier.request_id, earlier.attempt + 1)


def asked_before(asked: Asked, idempotency_key: str, events: Sequence[RequestEvent]) -> TenantRequest | None:
    """The request for which this key stands, of which these are all events; None if it is new.

    Raises:
        PermanentError: IDEMPOTENCY_KEY_REUSED if the key was sent with something else.
    """
    if any(_differs(event, asked) for event in events if event.idempotency_key == idempotency_key):
        raise key_reused(events[0].request_id)
    return request_of(events)


def key_reused(named: str) -> PermanentError:
    """The error for a key that was sent before with something else; `named` is the request or the batch it made."""
    return PermanentError(
        ErrorCode.IDEMPOTENCY_KEY_REUSED,
        f"Send a new Idempotency-Key: this one stands for {named}, which asked for something else.",
        {"stands_for": named},
    )


def outlook_of(request: TenantRequest) -> Outlook:
    """What the platform does next with the request by itself."""
    return outlook(request.state, request.attempt, request.error_code, request.updated_at)


def _is_already_so(tenant: Tenant, asked: Asked) -> bool:
    return not isinstance(asked, NewTenant) and changes.is_already_so(tenant, asked)


def _differs(event: RequestEvent, asked: Asked) -> bool:
    return event.parameters is not None and event.parameters != asked


def _continued(asked: Asked, requests: Sequence[TenantRequest]) -> TenantRequest | None:
    """The failed request that asking again continues.

    The tenant's dataset may carry the id of an onboarding that failed; of another kind only the latest request counts,
    whose time says when it was asked for, and only while the platform holds it anyway.
    """
    if isinstance(asked, NewTenant):
        return _failed(resumable([each for each in requests if each.kind is RequestKind.ONBOARD]))
    latest = _failed(requests[-1] if requests else None)
    if latest is None or latest.kind is not kind_of(asked) or latest.parameters != asked:
        return None
    return latest if _is_unfinished(latest) else None


def _failed(request: TenantRequest | None) -> TenantRequest | None:
    return request if request is not None and request.state is RequestState.FAILED else None


def _refuse(asked: Asked, known: Known, earlier: TenantRequest | None) -> None:
    """Refuse what cannot be, or not now; `earlier` is the request that would be continued."""
    if isinstance(asked, NewTenant):
        _refuse_if_there(known.tenant)
    elif known.tenant is not None and known.tenant.state is TenantState.DELETED:
        _refuse_change(known.tenant, asked)
    for request in known.requests:
        if _is_unfinished(request) and (earlier is None or request.request_id != earlier.request_id):
            raise _in_progress(request)
    if not isinstance(asked, NewTenant):
        _refuse_change(known.tenant, asked)


def _refuse_if_there(tenant: Tenant | None) -> None:
    if tenant is None or tenant.state is TenantState.PROVISIONING:
        return
    details: dict[str, object] = {
        "tenant_id": tenant.tenant_id,
        "state": str(tenant.state),
        "request_id": tenant.request_id,
    }
    if tenant.state is TenantState.DELETED:
        raise PermanentError(
            ErrorCode.TENANT_DELETED,
            f"Choose another tenant id: {tenant.tenant_id} is deleted, and its id is not given again.",
            details,
        )
    raise PermanentError(
        ErrorCode.TENANT_EXISTS,
        f"Choose another tenant id: there is a tenant {tenant.tenant_id} already, which is {tenant.state}.",
        details,
    )


def _refuse_change(tenant: Tenant | None, asked: Asked) -> None:
    if error := changes.refusal(tenant, asked):
        raise error


def _is_unfinished(request: TenantRequest) -> bool:
    """It is open, or failed and tried again by itself: whatever is asked for after it comes after it."""
    return request.is_open or outlook_of(request).step is NextStep.RETRY


def _in_progress(request: TenantRequest) -> PermanentError:
    return PermanentError(
        ErrorCode.REQUEST_IN_PROGRESS,
        f"Wait for request {request.request_id} ({request.kind}, {request.state}), which works on {request.tenant_id}: "
        f"GET /api/v1/admin/tenant-requests/{request.request_id} tells how far it is.",
        {
            "tenant_id": request.tenant_id,
            "request_id": request.request_id,
            "kind": str(request.kind),
            "state": str(request.state),
            "run_id": request.run_id,
        },
    )
