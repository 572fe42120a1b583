"""The cursor of a page of keys: which one was the last shown. Opaque to callers, so that it may change.

What belongs here: writing and reading it.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.keys.listing import Behind
from convergence_orchestration.keys.model import KeyRecord, parse_key_id


def cursor_at(record: KeyRecord) -> str:
    """The cursor behind this key."""
    return urlsafe_b64encode(f"{record.issued_at.isoformat()} {record.key_id}".encode()).decode()


def parse_cursor(value: str) -> Behind:
    """The last key shown.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    try:
        time, _, key_id = urlsafe_b64decode(value.encode()).decode().partition(" ")
        behind = Behind(datetime.fromisoformat(time), parse_key_id(key_id))
    except (ValueError, PermanentError):
        raise _unreadable() from None
    if behind.issued_at.tzinfo is None:
        raise _unreadable()
    return behind


def _unreadable() -> PermanentError:
    return PermanentError(
        ErrorCode.INVALID_ARGUMENT,
        "Give `before` as the page before answered it in next_before, or leave it out.",
        {"field": "before"},
    )
