"""The one small tree of errors: permanent or transient, a code, a sentence for a person.

What belongs here: error classes and the codes that the API documents. Google's exceptions are translated into
these at `gcp/`, once; no message ever holds a secret.
"""

from collections.abc import Mapping
from enum import StrEnum


class ErrorCode(StrEnum):
    """What went wrong, as a word that callers may branch on. The API documents each with its HTTP status."""

    # asked wrongly: changes nothing, asking again in the same way fails in the same way
    INVALID_ARGUMENT = "invalid_argument"
    MALFORMED_JSON = "malformed_json"
    INVALID_SETTINGS = "invalid_settings"
    INVALID_CATALOGUE = "invalid_catalogue"
    INVALID_TENANT_ID = "invalid_tenant_id"
    RESERVED_TENANT_ID = "reserved_tenant_id"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TENANT_NOT_FOUND = "tenant_not_found"
    TENANT_EXISTS = "tenant_exists"
    TENANT_NOT_ACTIVE = "tenant_not_active"
    TENANT_DELETED = "tenant_deleted"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    TENANT_SUSPENDED = "tenant_suspended"
    REQUEST_IN_PROGRESS = "request_in_progress"
    KEY_NOT_FOUND = "key_not_found"
    KEY_EXISTS = "key_exists"
    KEY_ALREADY_DELIVERED = "key_already_delivered"
    ALREADY_EXISTS = "already_exists"
    FAILED_PRECONDITION = "failed_precondition"
    PERMISSION_DENIED = "permission_denied"
    NOT_BOOTSTRAPPED = "not_bootstrapped"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXCEEDED = "quota_exceeded"
    BODY_TOO_LARGE = "body_too_large"
    # may pass: the same call can succeed later
    UNAVAILABLE = "unavailable"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    QUOTA_EXHAUSTED = "quota_exhausted"
    DATA_CORRUPTED = "data_corrupted"
    DAGSTER_UNAVAILABLE = "dagster_unavailable"
    # a defect of ours
    INTERNAL = "internal"


TRANSIENT_CODES = frozenset(
    {
        ErrorCode.UNAVAILABLE,
        ErrorCode.DEADLINE_EXCEEDED,
        ErrorCode.QUOTA_EXHAUSTED,
        ErrorCode.DATA_CORRUPTED,
        ErrorCode.DAGSTER_UNAVAILABLE,
    }
)
"""What may pass, for where only the code of an error is known: a run's failure, an event."""


class ConvergenceError(Exception):
    """An error with a code for programs and a sentence for people that says what to do.

    Attributes:
        code: the documented word.
        message: one or two sentences, the first of which says what is wrong and what to do.
        details: further facts, JSON-serialisable and never secret.
    """

    def __init__(self, code: ErrorCode, message: str, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details: dict[str, object] = dict(details or {})


class PermanentError(ConvergenceError):
    """Trying again cannot help: every kind of retry stops at once."""


class TransientError(ConvergenceError):
    """The same call may succeed later.

    Attributes:
        retry_after: seconds to wait before the next try.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        details: Mapping[str, object] | None = None,
        retry_after: float = 5.0,
    ) -> None:
        super().__init__(code, message, details)
        self.retry_after = retry_after
