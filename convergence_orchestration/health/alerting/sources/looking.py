"""Asking every source, none of which can keep the others from being seen.

What belongs here: what it means that a source cannot be read. Each source is a function in a module beside this one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.health.alerting.model import Metric, Observation, Seen
from convergence_orchestration.logs import logger

_log = logger(__name__)


@dataclass(frozen=True)
class Source:
    """Something that alerts rest on; `look` may raise errors of ours, which make it unreadable."""

    name: str
    look: Callable[[], Seen]


def look_at(sources: Iterable[Source], environment: str) -> Seen:
    """Everything that is seen, and of each source whether it could be read."""
    seen = Seen()
    for source in sources:
        seen = seen + _looked(source, environment)
    return seen


def _looked(source: Source, environment: str) -> Seen:
    try:
        found = source.look()
    except ConvergenceError as error:
        return unreadable(source.name, environment, error.message)
    except Exception as error:  # noqa: BLE001 a fault of one source must not hide what the others see
        _log.exception("A source of alerts failed", source=source.name)
        return unreadable(source.name, environment, f"Reading it failed with {type(error).__name__}.")
    is_told = any(one.metric is Metric.SOURCE_FAILURES for one in found.observations)
    return found if is_told else found + Seen((_told(source.name, environment, 0.0, ""),))


def unreadable(name: str, environment: str, why: str) -> Seen:
    """That a source could not be read, and nothing else: what it would have said is unknown."""
    return Seen((_told(name, environment, 1.0, why),))


def not_yet(name: str, environment: str) -> Seen:
    """That a source has nothing to say so soon after a start: neither that it can be read nor that it cannot."""
    return Seen((_told(name, environment, None, ""),))


def _told(name: str, environment: str, value: float | None, words: str) -> Observation:
    return Observation(Metric.SOURCE_FAILURES, environment, name, value, words)
