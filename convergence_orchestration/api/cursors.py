"""The cursors of pages: which request or audit row was the last shown. Opaque to callers, so that they may change.

What belongs here: writing and reading them.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime

from convergence_orchestration.audit.model import ChainedRow
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.request_model import RequestId, TenantRequest, parse_request_id


def cursor_at(request: TenantRequest) -> str:
    """The cursor behind this request."""
    return _written(request.requested_at, request.request_id)


def parse_cursor(value: str) -> tuple[datetime, RequestId]:
    """When the last request shown was made, and its id.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    at, request_id = _read(value)
    try:
        return at, parse_request_id(request_id)
    except PermanentError:
        raise _unreadable() from None


def cursor_behind(row: ChainedRow) -> str:
    """The cursor behind this audit row."""
    return _written(row.recorded_at, row.event_id)


def parse_audit_cursor(value: str) -> tuple[datetime, str]:
    """When the last audit row shown was recorded, and its event id.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    at, event_id = _read(value)
    if not event_id:
        raise _unreadable()
    return at, event_id


def _written(at: datetime, identity: str) -> str:
    return urlsafe_b64encode(f"{at.isoformat()} {identity}".encode()).decode()


def _read(value: str) -> tuple[datetime, str]:
    try:
        time, _, identity = urlsafe_b64decode(value.encode()).decode().partition(" ")
        at = datetime.fromisoformat(time)
    except ValueError:
        raise _unreadable() from None
    if at.tzinfo is None:
        raise _unreadable()
    return at, identity


def _unreadable() -> PermanentError:
    return PermanentError(
        ErrorCode.INVALID_ARGUMENT,
        "Give `before` as the page before answered it in next_before, or leave it out.",
        {"field": "before"},
    )
