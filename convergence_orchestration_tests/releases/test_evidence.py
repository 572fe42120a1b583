from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.releases.evidence import (
    Evidence,
    Histogram,
    Measurement,
    Probes,
    RevisionEvidence,
)
from convergence_orchestration.releases.model import RevisionName

NEW = RevisionName("api-00002-new")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
BOUNDS = (100.0, 200.0, 500.0)


def measured(second: int, requests: int, errors: int = 0, latencies: Histogram | None = None) -> Measurement:
    start = NOON + timedelta(seconds=second)
    return Measurement(start, start + timedelta(seconds=10), requests, errors, latencies)


def test_a_latency_on_a_bound_is_not_slower_than_it() -> None:
    histogram = Histogram.of([200.0, 200.1, 600.0], BOUNDS)
    assert histogram.counts == (0, 1, 1, 1)
    assert histogram.surely_slower_than(200) == 2
    assert histogram.slower_than(200) == 2


def test_the_bucket_that_a_limit_cuts_counts_by_its_part_and_convicts_nobody() -> None:
    histogram = Histogram((100.0, 300.0), (0, 10, 1))
    assert histogram.slower_than(200) == 6
    assert histogram.surely_slower_than(200) == 1


def test_what_is_beyond_the_last_bound_counts_whole_for_every_later_limit() -> None:
    histogram = Histogram((100.0,), (5, 5))
    assert histogram.slower_than(500) == 5
    assert histogram.surely_slower_than(500) == 0
    assert histogram.quantile(0.99) == 100


def test_quantiles_are_read_off_evenly_filled_buckets() -> None:
    histogram = Histogram((100.0, 200.0), (50, 50, 0))
    assert [histogram.quantile(at) for at in (0.25, 0.5, 0.75, 1.0)] == [50, 100, 150, 200]
    assert Histogram(BOUNDS, (0, 0, 0, 0)).quantile(0.5) is None


@given(st.lists(st.floats(0.01, 2000), min_size=1), st.floats(1, 1000))
def test_what_is_surely_slower_is_never_more_than_what_is_slower(
    latencies: list[float], limit: float
) -> None:
    histogram = Histogram.of(latencies, BOUNDS)
    assert histogram.total == len(latencies)
    really = sum(latency > limit for latency in latencies)
    assert histogram.surely_slower_than(limit) <= really
    assert histogram.surely_slower_than(limit) <= histogram.slower_than(limit) <= len(latencies)


def test_measurements_add_up() -> None:
    fast = Histogram.of([50.0], BOUNDS)
    evidence = RevisionEvidence(NEW, (measured(0, 1, 0, fast), measured(10, 0), measured(20, 1, 1, fast)))
    assert (evidence.requests, evidence.errors) == (2, 1)
    assert evidence.latencies == Histogram.sum([fast, fast])
    assert evidence.until == NOON + timedelta(seconds=30)


def test_latencies_missing_for_a_busy_stretch_are_missing() -> None:
    fast = Histogram.of([50.0], BOUNDS)
    assert RevisionEvidence(NEW, (measured(0, 1, 0, fast), measured(10, 1))).latencies is None
    assert RevisionEvidence(NEW, (measured(0, 0),)).latencies is None


def test_what_started_before_a_moment_does_not_count_from_then_on() -> None:
    evidence = RevisionEvidence(NEW, (measured(0, 5), measured(10, 7)), Probes(ok=1))
    later = evidence.since(NOON + timedelta(seconds=1))
    assert (later.requests, later.probes) == (7, Probes(ok=1))


def test_missing_stays_missing_and_is_not_zero() -> None:
    missing = Evidence().of(NEW)
    assert missing.since(NOON).measured is None
    assert missing.until is None
    assert Evidence((RevisionEvidence(NEW, (measured(0, 0),)),)).of(NEW).measured is not None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Histogram((200.0, 100.0), (0, 0, 0)),
        lambda: Histogram((0.0,), (0, 0)),
        lambda: Histogram((100.0,), (0,)),
        lambda: Histogram((100.0,), (0, -1)),
        lambda: Histogram.sum([Histogram((100.0,), (0, 0)), Histogram((200.0,), (0, 0))]),
        lambda: Histogram.sum([]),
        lambda: measured(0, 1, 2),
        lambda: measured(0, 1, -1),
        lambda: Measurement(NOON, NOON, 0, 0),
    ],
)
def test_what_no_meter_can_have_measured_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(PermanentError):
        make()
