"""The table of canonical status codes: name, google.rpc number, HTTP status.

What belongs here: the mapping of google/rpc/code.proto and the error body that Google's REST APIs answer with.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """One canonical code, as gRPC numbers it and as Google's HTTP mapping answers it."""

    name: str
    number: int
    http_status: int


_CODES = (
    Code("CANCELLED", 1, 499),
    Code("UNKNOWN", 2, 500),
    Code("INVALID_ARGUMENT", 3, 400),
    Code("DEADLINE_EXCEEDED", 4, 504),
    Code("NOT_FOUND", 5, 404),
    Code("ALREADY_EXISTS", 6, 409),
    Code("PERMISSION_DENIED", 7, 403),
    Code("RESOURCE_EXHAUSTED", 8, 429),
    Code("FAILED_PRECONDITION", 9, 400),
    Code("ABORTED", 10, 409),
    Code("OUT_OF_RANGE", 11, 400),
    Code("UNIMPLEMENTED", 12, 501),
    Code("INTERNAL", 13, 500),
    Code("UNAVAILABLE", 14, 503),
    Code("DATA_LOSS", 15, 500),
    Code("UNAUTHENTICATED", 16, 401),
)
BY_NAME = {code.name: code for code in _CODES}
_PREFERRED = ("INVALID_ARGUMENT", "ALREADY_EXISTS", "INTERNAL")
_BY_HTTP_STATUS = {code.http_status: code for code in (*_CODES, *(BY_NAME[name] for name in _PREFERRED))}


def for_http_status(status: int) -> Code:
    """The code that answers with this HTTP status; UNKNOWN with the status kept if there is none."""
    return _BY_HTTP_STATUS.get(status, Code("UNKNOWN", 2, status))
