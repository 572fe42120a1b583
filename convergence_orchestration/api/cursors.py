"""The cursor of a page of requests: which one was the last shown. Opaque to callers, so that it may change.

What belongs here: writing and reading it.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.request_model import RequestId, TenantRequest, parse_request_id


def cursor_at(request: TenantRequest) -> str:
    """The cursor behind this request."""
    text = f"{request.requested_at.isoformat()} {request.request_id}"
    return urlsafe_b64encode(text.encode()).decode()


def parse_cursor(value: str) -> tuple[datetime, RequestId]:
    """When the last request shown was made, and its id.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    try:
        time, _, request_id = urlsafe_b64decode(value.encode()).decode().partition(" ")
        at = datetime.fromisoformat(time)
        parsed_id = parse_request_id(request_id)
    except (ValueError, PermanentError):
        raise _unreadable() from None
    if at.tzinfo is None:
        raise _unreadable()
    return at, parsed_id


def _unreadable() -> PermanentError:
    return PermanentError(
        ErrorCode.INVALID_ARGUMENT,
        "Give `before` as the page before answered it in next_before, or leave it out.",
        {"field": "before"},
    )
