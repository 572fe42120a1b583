"""What Monitoring says of each revision since a moment, as the judge's measurements.

What belongs here: the steps in which meters are read, and turning them into measurements. Zero and unknown stay apart: a step
that the meters reach is a measurement, of nothing if nothing was counted; what could not be read is None.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from convergence_orchestration.errors import TransientError
from convergence_orchestration.gcp.monitoring import Distribution, Monitoring, ServiceMeters, Step
from convergence_orchestration.releases.evidence import Histogram, Measurement
from convergence_orchestration.releases.model import RevisionName

FINE_STEPS = 30
"""So many of the newest steps are read as finely as the meters count; what is older in steps ten times as long."""
_COARSER = 10
_ERRORS = "5xx"

type Measured = Mapping[RevisionName, tuple[Measurement, ...] | None]


@dataclass(frozen=True)
class Meters:
    """The meters of one service.

    Attributes:
        step: the shortest stretch that they count by: 60 s at Google's, 1 s here.
        late: so long the newest numbers may still grow, and are not read.
    """

    monitoring: Monitoring
    service: str
    step: timedelta
    late: timedelta = timedelta()

    def read(self, revisions: Iterable[RevisionName], since: datetime, now: datetime) -> Measured:
        """What ended since then, in order of time; None for what is not known."""
        wanted = tuple(revisions)
        end = _floor(now - self.late, self.step)
        if end <= since:
            return dict.fromkeys(wanted)
        try:
            parts = self._parts(since, end)
        except TransientError:
            return dict.fromkeys(wanted)
        return {name: _together(parts, name) for name in wanted}

    def _parts(self, since: datetime, end: datetime) -> tuple[ServiceMeters, ...]:
        coarse = self.step * _COARSER
        cut = _floor(end - self.step * FINE_STEPS, coarse)
        if cut - coarse < since:
            return (self.monitoring.read(self.service, since, end, self.step),)
        fine = self.monitoring.read(self.service, cut, end, self.step)
        old = self.monitoring.read(self.service, since, cut, coarse)
        return (old if fine.reach is None else replace(old, reach=cut), fine)


def _together(parts: Iterable[ServiceMeters], name: RevisionName) -> tuple[Measurement, ...] | None:
    known = [steps for part in parts if (steps := part.of(name)) is not None]
    return tuple(measurement_of(step) for steps in known for step in steps) if known else None


def measurement_of(step: Step) -> Measurement:
    """One step as the judge knows it."""
    errors = step.requests.get(_ERRORS, 0)
    latencies = _histogram(step.latencies) if step.latencies is not None else None
    return Measurement(step.start, step.end, sum(step.requests.values()), errors, latencies, step.unanswered)


def _histogram(found: Distribution) -> Histogram:
    """Without bounds at or below 0: what is below the first one above has no latency worth telling apart."""
    below = sum(bound <= 0 for bound in found.bounds)
    first = sum(found.counts[: below + 1])
    return Histogram(found.bounds[below:], (first, *found.counts[below + 1 :]))


def _floor(moment: datetime, step: timedelta) -> datetime:
    seconds = step.total_seconds()
    return datetime.fromtimestamp(math.floor(moment.timestamp() / seconds) * seconds, UTC)
