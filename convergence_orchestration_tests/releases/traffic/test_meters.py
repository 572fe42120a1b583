"""From Monitoring's answers to measurements; Monitoring itself is a stand-in at its client, whose answers are known."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.gcp.monitoring import Distribution, ServiceMeters, Step
from convergence_orchestration.releases.traffic.meters import Meters, measurement_of
from convergence_orchestration_tests.releases.builders import NEW, NOON, OLD

_SECOND = timedelta(seconds=1)
_LATENCIES = Distribution((0.0, 100.0, 200.0), (0, 3, 1, 0))


@dataclass
class CountedSeconds:
    """Answers to a revision, one in each second of the list (counted from noon), or no answer at all."""

    answered: Mapping[str, list[int]]
    is_down: bool = False
    asked: list[tuple[datetime, datetime, timedelta]] = field(default_factory=list)

    def read(
        self, service: str, start: datetime, end: datetime, period: timedelta = timedelta(minutes=1)
    ) -> ServiceMeters:
        assert service == "api"
        self.asked.append((start, end, period))
        if self.is_down:
            raise TransientError(ErrorCode.UNAVAILABLE, "Try again.")
        known = {name: self._steps(seconds, start, end, period) for name, seconds in self.answered.items()}
        reach = max((step.end for steps in known.values() for step in steps), default=None)
        return ServiceMeters(start, period, reach, known)

    def _steps(
        self, seconds: list[int], start: datetime, end: datetime, period: timedelta
    ) -> tuple[Step, ...]:
        steps, at = [], end - period
        while at >= start:
            inside = [s for s in seconds if at <= NOON + s * _SECOND < at + period]
            if inside:
                steps.append(Step(at, at + period, {"2xx": len(inside) - 1, "5xx": 1}, _LATENCIES))
            at -= period
        return tuple(reversed(steps))


def _meters(monitoring: CountedSeconds, late: float = 0) -> Meters:
    return Meters(monitoring, "api", _SECOND, timedelta(seconds=late))  # type: ignore[arg-type]


def test_seconds_without_requests_are_zero_up_to_where_the_meters_reach() -> None:
    monitoring = CountedSeconds({NEW: [1, 4], OLD: [5]})

    measured = _meters(monitoring).read([NEW, OLD], NOON, NOON + 8.4 * _SECOND)

    assert [one.requests for one in measured[NEW] or ()] == [0, 1, 0, 0, 1, 0]
    assert [one.requests for one in measured[OLD] or ()] == [0, 0, 0, 0, 0, 1]
    assert monitoring.asked == [(NOON, NOON + 8 * _SECOND, _SECOND)]


def test_nothing_known_of_anybody_is_not_zero() -> None:
    assert _meters(CountedSeconds({})).read([NEW], NOON, NOON + 5 * _SECOND) == {NEW: None}


def test_meters_that_cannot_be_read_are_unknown() -> None:
    monitoring = CountedSeconds({NEW: [1]}, is_down=True)
    assert _meters(monitoring).read([NEW], NOON, NOON + 5 * _SECOND) == {NEW: None}


def test_numbers_that_may_still_grow_are_not_asked_for() -> None:
    monitoring = CountedSeconds({NEW: [1]})
    assert _meters(monitoring, late=10).read([NEW], NOON, NOON + 9 * _SECOND) == {NEW: None}
    _meters(monitoring, late=10).read([NEW], NOON, NOON + 15 * _SECOND)
    assert [end for _, end, _ in monitoring.asked] == [NOON + 5 * _SECOND]


def test_what_is_older_is_read_in_longer_steps_and_nothing_is_counted_twice() -> None:
    monitoring = CountedSeconds({NEW: list(range(300))})

    measured = _meters(monitoring).read([NEW], NOON, NOON + 300 * _SECOND)[NEW] or ()

    assert sum(one.requests for one in measured) == 300
    assert {one.end - one.start for one in measured} == {_SECOND, 10 * _SECOND}
    assert all(before.end == after.start for before, after in itertools.pairwise(measured))
    assert sum(one.end - one.start == _SECOND for one in measured) == 30


def test_an_old_stretch_without_requests_is_zero_when_the_newest_was_counted() -> None:
    measured = _meters(CountedSeconds({NEW: [299]})).read([NEW], NOON, NOON + 300 * _SECOND)[NEW] or ()
    assert measured[0].start == NOON
    assert sum(one.requests for one in measured) == 1


def test_a_step_counts_server_errors_and_drops_the_bound_at_zero() -> None:
    step = Step(NOON, NOON + _SECOND, {"2xx": 3, "4xx": 1, "5xx": 2}, _LATENCIES, unanswered=1)

    measurement = measurement_of(step)

    assert (measurement.requests, measurement.errors, measurement.unanswered) == (6, 2, 1)
    assert measurement.latencies is not None
    assert measurement.latencies.bounds == (100.0, 200.0)
    assert measurement.latencies.counts == (3, 1, 0)
