"""Which HTTP status each error code is answered with: the one table, which the OpenAPI document shows too.

What belongs here: the table and what is derived from it.
"""

from typing import Any

from convergence_orchestration.api.bodies import ErrorBody
from convergence_orchestration.errors import ErrorCode

STATUS: dict[ErrorCode, int] = {
    ErrorCode.INVALID_ARGUMENT: 422,
    ErrorCode.MALFORMED_JSON: 422,
    ErrorCode.INVALID_TENANT_ID: 422,
    ErrorCode.RESERVED_TENANT_ID: 422,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.TENANT_SUSPENDED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.TENANT_NOT_FOUND: 404,
    ErrorCode.KEY_NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.TENANT_EXISTS: 409,
    ErrorCode.TENANT_NOT_ACTIVE: 409,
    ErrorCode.TENANT_DELETED: 409,
    ErrorCode.IDEMPOTENCY_KEY_REUSED: 409,
    ErrorCode.REQUEST_IN_PROGRESS: 409,
    ErrorCode.KEY_EXISTS: 409,
    ErrorCode.KEY_ALREADY_DELIVERED: 409,
    ErrorCode.ALREADY_EXISTS: 409,
    ErrorCode.FAILED_PRECONDITION: 409,
    ErrorCode.NOT_BOOTSTRAPPED: 409,
    ErrorCode.BODY_TOO_LARGE: 413,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.QUOTA_EXCEEDED: 429,
    ErrorCode.INTERNAL: 500,
    ErrorCode.INVALID_SETTINGS: 500,
    ErrorCode.INVALID_CATALOGUE: 500,
    # Google Cloud refuses us, not the caller: a 403 would send the caller looking for a better key
    ErrorCode.PERMISSION_DENIED: 502,
    ErrorCode.DATA_CORRUPTED: 502,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.DAGSTER_UNAVAILABLE: 503,
    ErrorCode.QUOTA_EXHAUSTED: 503,
    ErrorCode.DEADLINE_EXCEEDED: 504,
}

_MEANING = {
    401: "The tenant's key is missing, unknown, revoked or expired.",
    403: "The administrators' key is missing or wrong; or the tenant, or its key, may not do this.",
    404: "It is not there.",
    405: "The path has no such method; `Allow` names those it has.",
    409: "It clashes with what is there.",
    413: "The body is too large.",
    422: "The request is not valid; `details` names each field.",
    429: "Too many requests or runs; `Retry-After` says when to come back.",
    500: "A defect of ours.",
    502: "Google Cloud refused us or answered wrongly.",
    503: "Something we need is down; `Retry-After` says when to come back.",
    504: "Google Cloud did not answer in time.",
}


ADMINISTRATION_ERRORS = (
    ErrorCode.FORBIDDEN,
    ErrorCode.INVALID_ARGUMENT,
    ErrorCode.NOT_BOOTSTRAPPED,
    ErrorCode.PERMISSION_DENIED,
    ErrorCode.UNAVAILABLE,
)
"""What every call about tenants and keys can answer an administrator with."""


OWN_TENANT_ERRORS = (
    ErrorCode.UNAUTHORIZED,
    ErrorCode.FORBIDDEN,
    ErrorCode.TENANT_SUSPENDED,
    ErrorCode.TENANT_NOT_FOUND,
    ErrorCode.TENANT_NOT_ACTIVE,
    ErrorCode.RATE_LIMITED,
    ErrorCode.UNAVAILABLE,
)
"""What every call of a tenant can be answered with."""


def documented(*codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    """FastAPI's `responses` for the errors a call can answer with, each with its codes."""
    responses: dict[int | str, dict[str, Any]] = {}
    for status in sorted({STATUS[code] for code in codes}):
        words = ", ".join(f"`{code}`" for code in codes if STATUS[code] == status)
        responses[status] = {"model": ErrorBody, "description": f"{_MEANING[status]} Codes: {words}."}
    return responses
