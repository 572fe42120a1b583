"""Calling something for each of many, a few at once, so that what fails fails alone.

What belongs here: turning exceptions into entries. Whether an entry is tried again is `retries.py`.
"""

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError
from convergence_orchestration.logs import logger
from convergence_orchestration.tenancy.request_model import RequestId

type Failures = dict[RequestId, ConvergenceError]

_log = logger(__name__)


def attempted[T, K: Hashable, R](
    pool: ThreadPoolExecutor, items: Sequence[T], *, by: Callable[[T], K], call: Callable[[T], R]
) -> tuple[dict[K, R], dict[K, ConvergenceError]]:
    """`call` with each item: by the item's key, the answers of those that succeeded and the errors of the others."""
    answers: dict[K, R] = {}
    errors: dict[K, ConvergenceError] = {}
    for item, future in [(item, pool.submit(call, item)) for item in items]:
        try:
            answers[by(item)] = future.result()
        except Exception as error:  # noqa: BLE001 one tenant's defect is not another one's failure
            errors[by(item)] = as_ours(error)
    return answers, errors


def as_ours(error: Exception) -> ConvergenceError:
    """The error itself if it is one of ours; a defect of ours, whose traceback is logged, otherwise."""
    if isinstance(error, ConvergenceError):
        return error
    _log.error("A defect ended a request.", exc_info=error)
    return PermanentError(
        ErrorCode.INTERNAL,
        f"Report this defect with the run's link: an error nobody expected ended it ({type(error).__name__}).",
    )
