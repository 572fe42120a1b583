"""What a request's events add up to: its state, its attempt, its last reason. Pure; reading them is `requests.py`."""

from collections.abc import Iterable, Sequence

from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.tenancy.asked import RequestKind
from convergence_orchestration.tenancy.request_model import (
    RequestEvent,
    RequestId,
    RequestState,
    TenantRequest,
)

_RANK = {
    RequestState.REQUESTED: 0,
    RequestState.RUNNING: 1,
    RequestState.FAILED: 2,
    RequestState.DONE: 3,
}


def in_order(events: Iterable[RequestEvent]) -> list[RequestEvent]:
    """The events as they happened, by attempt and state first: the writers' clocks may differ.

    DONE is final: a second run that was slower than the first one undoes nothing.
    """
    return sorted(
        events,
        key=lambda event: (
            event.state is RequestState.DONE,
            event.attempt,
            _RANK[event.state],
            event.recorded_at,
        ),
    )


def request_of(events: Iterable[RequestEvent]) -> TenantRequest | None:
    """The request that one request's events add up to; None as long as no event says what was asked for.

    The last parameters count: a request that failed may be asked again with corrected ones.
    """
    ordered = in_order(events)
    asked = [event.parameters for event in ordered if event.parameters is not None]
    if not asked:
        return None
    latest = ordered[-1]
    return TenantRequest(
        request_id=latest.request_id,
        tenant_id=latest.tenant_id,
        kind=latest.kind,
        state=latest.state,
        parameters=asked[-1],
        actor=ordered[0].actor,
        run_id=_last(event.run_id for event in ordered),
        reason=latest.reason,
        error_code=latest.error_code,
        attempt=latest.attempt,
        batch_id=_last(event.batch_id for event in ordered),
        requested_at=min(event.recorded_at for event in ordered),
        updated_at=max(event.recorded_at for event in ordered),
    )


def requests_of(events: Iterable[RequestEvent]) -> list[TenantRequest]:
    """The requests that mixed events add up to, the one asked for last at the end."""
    by_request: dict[RequestId, list[RequestEvent]] = {}
    for event in events:
        by_request.setdefault(event.request_id, []).append(event)
    found = [request for request in map(request_of, by_request.values()) if request is not None]
    return sorted(found, key=lambda request: (request.requested_at, request.request_id))


def next_attempt(request: TenantRequest | None, *, asks_otherwise: bool = False) -> int:
    """The number of the attempt that starts now.

    A run works on the attempt that asked for it, unless it `asks_otherwise`, with other parameters than those recorded.
    """
    if request is None:
        return 1
    is_asked_for = request.state is RequestState.REQUESTED and not asks_otherwise
    return request.attempt if is_asked_for else request.attempt + 1


def resumable(requests: Sequence[TenantRequest]) -> TenantRequest | None:
    """The latest request for a new tenant that is open or failed, which the same question asked again continues.

    One that failed because another had claimed the id first owns nothing that could be continued.
    """
    return next((request for request in reversed(requests) if _can_be_resumed(request)), None)


def _can_be_resumed(request: TenantRequest) -> bool:
    return (
        request.kind is RequestKind.ONBOARD
        and request.state is not RequestState.DONE
        and request.error_code is not ErrorCode.TENANT_EXISTS
    )


def _last[T](values: Iterable[T | None]) -> T | None:
    return next((value for value in reversed(list(values)) if value is not None), None)
