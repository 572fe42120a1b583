"""Levels of service from what Cloud Monitoring says. Pure: an answer that cannot be is unknown, never zero.

What belongs here: putting counts and percentiles together. Reading them is `reading.py`.

Counts are exact. Percentiles are Monitoring's own, taken from exponential buckets in which it takes latencies as evenly spread:
value = lower + (upper - lower) * (rank - below) / count, rank = percent / 100 * total. They err by no more than the bucket's
width. Cloud Run's buckets grow by 1.4, so its P95 may be up to 40 % off, typically a few percent with thousands of requests;
the local cloud counts in 17 finer buckets for each of those, so that it is within 2 %.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from convergence_orchestration.gcp.monitoring import ServiceMeters, Step
from convergence_orchestration.health.levels.anomaly import judged
from convergence_orchestration.health.levels.budget import budget_left, burn_rate
from convergence_orchestration.health.model import Objectives, ServiceLevels, Window

CLASSES = frozenset({"1xx", "2xx", "3xx", "4xx", "5xx"})
_ERRORS = "5xx"
NOTHING_COUNTED = "Nothing was counted: no request came, or the meters are behind."
ODD_CLASS = "Some requests have no class of answers, so that errors cannot be told."


@dataclass(frozen=True)
class Counted:
    """The requests of one window; `errors` None: some cannot be told apart."""

    requests: int
    errors: int | None


@dataclass(frozen=True)
class Latencies:
    """P95 and P99 by revision, "" for all together; one that is missing is unknown."""

    p95_ms: Mapping[str, float] = field(default_factory=dict)
    p99_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """Whose levels are wanted, and when."""

    environment: str
    service: str
    window: Window
    end: datetime
    objectives: Objectives = field(default_factory=Objectives)

    @property
    def start(self) -> datetime:
        """When the window begins."""
        return self.end - self.window.length


def unknown(asked: Asked, why: str) -> ServiceLevels:
    """Nothing is known, and why."""
    return ServiceLevels(
        asked.environment, asked.service, None, asked.window, asked.start, asked.end, why_unknown=why
    )


def levels_of(asked: Asked, meters: ServiceMeters, latencies: Latencies) -> list[ServiceLevels]:
    """Those of the whole service, then of each revision that answered in the window, by name.

    `meters` has steps as long as the window, the last of which is the window; those before it are what it is compared with.
    """
    if meters.reach != asked.end:
        return [unknown(asked, NOTHING_COUNTED)]
    by_revision = {name: meters.of(name) or () for name in sorted(meters.known)}
    whole = [counted(steps) for steps in zip(*by_revision.values(), strict=True)]
    found = [_levels(asked, None, whole, latencies)]
    for name, steps in by_revision.items():
        counts = [counted([step]) for step in steps]
        if counts[-1].requests:
            found.append(_levels(asked, name, counts, latencies))
    return found


def counted(steps: Iterable[Step]) -> Counted:
    """The requests of steps of the same time, of one revision or of several."""
    total = errors = 0
    are_told = True
    for step in steps:
        total += sum(step.requests.values())
        errors += step.requests.get(_ERRORS, 0)
        are_told = are_told and step.requests.keys() <= CLASSES
    return Counted(total, errors if are_told else None)


def _levels(
    asked: Asked, revision: str | None, counts: Sequence[Counted], latencies: Latencies
) -> ServiceLevels:
    now, earlier = counts[-1], [one.requests for one in counts[:-1]]
    if now.requests < 0 or (now.errors is not None and not 0 <= now.errors <= now.requests):
        return unknown(asked, "Look at Cloud Monitoring: it counts fewer requests than none, or than errors.")
    rate = now.errors / now.requests if now.requests and now.errors is not None else None
    objective = asked.objectives.availability
    return ServiceLevels(
        environment=asked.environment,
        service=asked.service,
        revision=revision,
        window=asked.window,
        start=asked.start,
        end=asked.end,
        requests=now.requests,
        errors=now.errors,
        availability=None if rate is None else 1 - rate,
        p95_ms=latencies.p95_ms.get(revision or ""),
        p99_ms=latencies.p99_ms.get(revision or ""),
        error_rate=rate,
        requests_per_second=now.requests / asked.window.length.total_seconds(),
        anomaly=judged(now.requests, earlier, asked.window),
        budget_left=budget_left(rate, objective),
        burn_rate=burn_rate(rate, objective),
        why_unknown=ODD_CLASS if now.errors is None else "",
    )
