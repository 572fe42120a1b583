"""How the service answers, from Cloud Monitoring: P95, error rate and burn rates over the windows that rules look at.

What belongs here: which windows are read, and turning what was counted into observations. What was counted and how errors use up
the budget is `health/levels`. A window in which nothing was counted is unknown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from convergence_orchestration.gcp.monitoring import Monitoring
from convergence_orchestration.health.alerting.model import Metric, Observation, Seen
from convergence_orchestration.health.alerting.rules import RuleBook, RuleWindow
from convergence_orchestration.health.levels.budget import burn_rate
from convergence_orchestration.health.levels.computing import Counted, counted
from convergence_orchestration.health.levels.reading import LevelsReader
from convergence_orchestration.health.model import Objectives, Window
from convergence_orchestration.settings import Settings

NAME = "service_levels"
_LENGTHS: Mapping[RuleWindow, timedelta] = MappingProxyType(
    {
        RuleWindow.FIVE_MINUTES: timedelta(minutes=5),
        RuleWindow.HALF_HOUR: timedelta(minutes=30),
        RuleWindow.HOUR: timedelta(hours=1),
        RuleWindow.SIX_HOURS: timedelta(hours=6),
        RuleWindow.THREE_DAYS: timedelta(days=3),
    }
)


@dataclass(frozen=True)
class Levels:
    """What was measured of a service in one window; None is unknown.

    Attributes:
        p95_ms: of all requests together, in milliseconds.
    """

    window: RuleWindow
    counts: Counted | None
    p95_ms: float | None = None


def read_levels(
    settings: Settings, service: str, monitoring: Monitoring, book: RuleBook, now: datetime
) -> Seen:
    """The windows that rules look at, and no other: each is a question to Monitoring.

    Raises:
        ConvergenceError: Monitoring cannot be asked.
    """
    environment = settings.environment.value
    reader = LevelsReader(monitoring, environment, service, settings.meter_step, settings.meter_late)
    found = [_read(reader, window, book, now) for window in RuleWindow if _wanted(book, window)]
    return Seen(tuple(one for each in found for one in of_levels(each, environment, service)))


def of_levels(levels: Levels, environment: str, service: str) -> Iterator[Observation]:
    """What the levels of one window say, metric by metric."""
    counts = levels.counts
    requests = counts.requests if counts is not None else None
    rate = (
        counts.errors / counts.requests
        if counts is not None and counts.errors is not None and counts.requests
        else None
    )
    values = {
        Metric.P95_MS: levels.p95_ms,
        Metric.ERROR_RATE: rate,
        Metric.BURN_RATE: burn_rate(rate, Objectives().availability),
    }
    for metric, value in values.items():
        yield Observation(
            metric=metric,
            environment=environment,
            subject=service,
            value=value,
            words=_words(levels.window, counts),
            window=levels.window.value,
            requests=requests,
        )


def _wanted(book: RuleBook, window: RuleWindow) -> bool:
    return any(window in rule.windows for rule in book.rules)


def _read(reader: LevelsReader, window: RuleWindow, book: RuleBook, now: datetime) -> Levels:
    end = reader.end_of(Window.FIVE_MINUTES if window is RuleWindow.FIVE_MINUTES else Window.HOUR, now)
    length = _LENGTHS[window]
    meters = reader.monitoring.counts(reader.service, end - length, end, length)
    if meters.reach != end:
        return Levels(window, None)
    counts = counted(step for steps in meters.known.values() for step in steps)
    is_latency_wanted = any(rule.metric is Metric.P95_MS and window in rule.windows for rule in book.rules)
    if not is_latency_wanted:
        return Levels(window, counts)
    found = reader.monitoring.percentiles(reader.service, (end - length, end), length, 95, by_revision=False)
    return Levels(window, counts, found.get("", {}).get(end))


def _words(window: RuleWindow, counts: Counted | None) -> str:
    if counts is None or counts.errors is None:
        return ""
    return f"Of {counts.requests} requests in {window} {counts.errors} failed."
