"""How long a Google call may take and which failures are worth another try, by kind of call.

Three kinds. Reads and calls that can be repeated without harm are repeated until the total deadline. Calls that must
run once carry an id of their own (a job id, an insertId), and are then as repeatable. What a person would repeat
differently (a wrong argument, a missing role) is never repeated.
"""

from google.api_core import exceptions as google
from google.api_core.retry import Retry
from google.api_core.timeout import ConstantTimeout

TOTAL_SECONDS = 30.0
"""A repeatable call gives up after this long, whatever it tried."""

ATTEMPT_SECONDS = 10.0
"""One attempt of a call that answers at once: metadata, KMS, Secret Manager, appends."""

JOB_SECONDS = 120.0
"""A query or copy job has this long to finish."""

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0

_PASSING = (
    google.ServiceUnavailable,
    google.GatewayTimeout,
    google.TooManyRequests,
    google.InternalServerError,
)


def repeatable(total_seconds: float = TOTAL_SECONDS) -> Retry:
    """Retry of a gRPC call that can be repeated without harm: 0.2 s, doubled up to 5 s, with jitter.

    Unlike the clients' own policies this includes an exhausted quota (RESOURCE_EXHAUSTED), which per-minute quotas
    give back.
    """
    return Retry(
        predicate=lambda error: isinstance(error, _PASSING),
        initial=_FIRST_PAUSE_SECONDS,
        maximum=_LONGEST_PAUSE_SECONDS,
        timeout=total_seconds,
    )


def each_attempt(seconds: float = ATTEMPT_SECONDS) -> ConstantTimeout:
    """A timeout that each attempt has for itself, so that one hung attempt leaves time for the next."""
    return ConstantTimeout(seconds)  # type: ignore[no-untyped-call]
