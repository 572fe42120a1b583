from dataclasses import replace
from datetime import timedelta

import pytest

from convergence_orchestration.releases.evidence import Measurement
from convergence_orchestration.releases.model import EventKind, Percent, ReleaseEvent
from convergence_orchestration.releases.report.harm import Harm, harm_of
from convergence_orchestration_tests.releases.builders import NEW, NOON, OLD, V2, latencies

_SLOW_MS = 500


def _event(seconds: float, kind: EventKind, percent: int = 0, **evidence: object) -> ReleaseEvent:
    at = NOON + timedelta(seconds=seconds)
    event = ReleaseEvent(f"e{seconds}", V2, "staging", "api", kind, at, evidence=evidence)
    return replace(event, revision=NEW, stable_revision=OLD, traffic_percent=Percent(percent))


def _second(at: int, requests: int, errors: int = 0, unanswered: int = 0, slow: int = 0) -> Measurement:
    start = NOON + timedelta(seconds=at)
    histogram = latencies(requests, slow, slow)
    return Measurement(start, start + timedelta(seconds=1), requests, errors, histogram, unanswered)


_TEN_SECONDS_AT_TEN_PERCENT = [
    _event(0.5, EventKind.TRAFFIC_ASKED, 10),
    _event(1, EventKind.STAGE_VERIFIED, 10),
    _event(10.5, EventKind.ROLLED_BACK, probes_ok=20),
]
_STABLE = tuple(_second(at, 92) for at in range(20))
"""90 requests a second and two probes."""


def _harm(*mine: Measurement, events: list[ReleaseEvent] | None = None) -> Harm:
    known = events if events is not None else _TEN_SECONDS_AT_TEN_PERCENT
    return harm_of(known, NEW, OLD, {NEW: mine, OLD: _STABLE}, _SLOW_MS)


def test_each_kind_of_harm_is_counted_and_named() -> None:
    found = _harm(*(_second(at, 12, errors=2, unanswered=1, slow=4) for at in range(10)))
    assert (found.errors, found.given_up, found.missing) == (20, 10, 0)
    assert (
        found.slow == 40 - 20 - 10 - 1
    )  # errors and what was given up may be slow too, and one in a hundred may be
    assert str(found) == "39: 20 errors, 10 given up by their callers, 9 slower than 500 ms"


def test_what_hangs_still_is_missed_by_the_share_that_was_sent() -> None:
    found = _harm(*(_second(at, 2) for at in range(10)))  # probes alone
    assert str(found) == "100: about 100 never answered"


def test_what_no_instance_took_is_missed_at_once_when_the_probes_failed() -> None:
    in_a_second = [
        _event(0.5, EventKind.TRAFFIC_ASKED, 10),
        _event(1.5, EventKind.ROLLED_BACK, probes_failed=3),
    ]
    assert str(_harm(_second(0, 4, errors=1), events=in_a_second)) == "7: 1 errors, about 6 never answered"
    chance = [in_a_second[0], _event(1.5, EventKind.ROLLED_BACK, probes_failed=2)]
    assert str(_harm(_second(0, 4, errors=1), events=chance)) == "1: 1 errors"


def test_what_is_given_up_behind_the_end_is_not_missing_any_more() -> None:
    late = tuple(_second(at, 35, unanswered=33) for at in range(10, 13))
    found = _harm(*(_second(at, 2) for at in range(10)), *late)
    assert (found.given_up, found.missing) == (99, 0)


@pytest.mark.parametrize("requests", [9, 10, 12, 20])
def test_a_share_that_may_be_chance_misses_nothing(requests: int) -> None:
    assert _harm(*(_second(at, requests + 2) for at in range(10))).total == 0


def test_a_stage_of_everything_has_nobody_to_compare_with() -> None:
    events = [_event(0, EventKind.TRAFFIC_ASKED, 100)]
    assert _harm(_second(1, 500), events=events).total == 0


def test_without_a_revision_nobody_was_harmed() -> None:
    assert str(harm_of([], None, None, {}, _SLOW_MS)) == "0"
