"""What every log line of a run's worker says of its run, so that one search finds all that a request caused.

What belongs here: pure functions over the run's tags. Whoever launches a run sets the tags (`api/launching.py`).
"""

import re
from collections.abc import Mapping

CALL_TAG = "convergence/call_id"
"""The id of the HTTP request that the run was launched for: `X-Request-ID` of its answer, `request_id` of its lines."""
TRACE_TAG = "convergence/trace"
"""The trace that the call belongs to: its id alone, or W3C's traceparent where spans are recorded."""

_REQUEST_TAG = "convergence/request_id"
_TENANT_TAG = "convergence/tenant_id"
_TRACE = re.compile(r"(?:[0-9a-f]{2}-)?(?P<trace>[0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?")


def fields_of(run_id: str, job: str, tags: Mapping[str, str]) -> dict[str, str | None]:
    """The fields; None is what the run does not know.

    `request_id` is the call's; `tenant_request_id` is the request about a tenant that was written down, which outlives calls.
    """
    written = tags.get(_REQUEST_TAG)
    call = tags.get(CALL_TAG) or written
    return {
        "run_id": run_id,
        "job": job,
        "request_id": call,
        "tenant_request_id": written if written != call else None,
        "tenant_id": tags.get(_TENANT_TAG),
        "trace": trace_of(tags.get(TRACE_TAG, "")),
    }


def trace_of(tag: str) -> str | None:
    """The id of the trace that a tag names; None if it names none."""
    found = _TRACE.fullmatch(tag)
    return found["trace"] if found else None
