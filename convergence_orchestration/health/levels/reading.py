"""Reading the levels of a service from Cloud Monitoring.

What belongs here: which queries are made, and up to when. What follows from the answers is `computing.py`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.gcp.monitoring import Monitoring, Percent, Step
from convergence_orchestration.health.levels.anomaly import EARLIER
from convergence_orchestration.health.levels.computing import (
    Asked,
    Counted,
    Latencies,
    counted,
    levels_of,
    unknown,
)
from convergence_orchestration.health.model import Objectives, ServiceLevels, Window

_SHORT_STEP = timedelta(seconds=10)
_STEP = timedelta(minutes=1)
_SHOWN: tuple[Percent, Percent] = (95, 99)


@dataclass(frozen=True)
class OverTime:
    """A service in equal steps, by the end of each; one that is missing is not known. Latencies in milliseconds."""

    step: timedelta
    counts: Mapping[datetime, Counted]
    p95_ms: Mapping[datetime, float]
    p99_ms: Mapping[datetime, float]


@dataclass(frozen=True)
class LevelsReader:
    """The levels of one service.

    Attributes:
        monitoring: of the service's project.
        step: the shortest stretch that the meters count by: 60 s at Google's, 1 s here.
        late: so long the newest numbers may still grow, and are not read.
    """

    monitoring: Monitoring
    environment: str
    service: str
    step: timedelta
    late: timedelta = timedelta()
    objectives: Objectives = field(default_factory=Objectives)

    def read(self, window: Window, now: datetime) -> list[ServiceLevels]:
        """Of the whole service first, then of each revision that answered; one that says why if nothing can be known."""
        end = self.end_of(window, now)
        asked = Asked(self.environment, self.service, window, end, self.objectives)
        try:
            return self._read(asked)
        except ConvergenceError as error:
            return [unknown(asked, error.message)]

    def end_of(self, window: Window, now: datetime) -> datetime:
        """The last moment up to which the meters are complete, on a step in which both they and the window are counted."""
        step = max(self.step, _SHORT_STEP) if window is Window.FIVE_MINUTES else max(self.step, _STEP)
        return _floor(now - self.late, step)

    def over_time(self, start: datetime, end: datetime, step: timedelta) -> "OverTime":
        """How the service answered in each step between two moments.

        Raises:
            ConvergenceError: it could not be read.
        """
        meters = self.monitoring.counts(self.service, start, end, step)
        of = self.monitoring.percentiles
        p95, p99 = (
            of(self.service, (start, end), step, percent, by_revision=False).get("", {}) for percent in _SHOWN
        )
        steps: dict[datetime, list[Step]] = {}
        for known in meters.known.values():
            for one in known:
                steps.setdefault(one.end, []).append(one)
        return OverTime(step, {at: counted(ones) for at, ones in sorted(steps.items())}, p95, p99)

    def _read(self, asked: Asked) -> list[ServiceLevels]:
        length = asked.window.length
        since = asked.start - EARLIER[asked.window] * length
        meters = self.monitoring.counts(self.service, since, asked.end, length)
        if meters.reach != asked.end:
            return levels_of(asked, meters, Latencies())
        return levels_of(asked, meters, self._latencies(asked))

    def _latencies(self, asked: Asked) -> Latencies:
        return Latencies(self._percentile(asked, 95), self._percentile(asked, 99))

    def _percentile(self, asked: Asked, percent: Percent) -> dict[str, float]:
        """Of each revision, and of all together as ""."""
        window, length = (asked.start, asked.end), asked.window.length
        of = self.monitoring.percentiles
        whole = of(self.service, window, length, percent, by_revision=False)
        found = {**of(self.service, window, length, percent), **whole}
        return {name: times[asked.end] for name, times in found.items() if asked.end in times}


def _floor(moment: datetime, step: timedelta) -> datetime:
    seconds = step.total_seconds()
    return datetime.fromtimestamp(math.floor(moment.timestamp() / seconds) * seconds, UTC)
