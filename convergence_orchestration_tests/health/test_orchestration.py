from datetime import UTC, datetime, timedelta

from convergence_orchestration.health.model import Measure, ProbeStatus
from convergence_orchestration.health.probes.orchestration import (
    Heartbeat,
    Queue,
    Ticker,
    of_heartbeat,
    of_queue,
    of_ticker,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HEALTHY, UNHEALTHY, UNKNOWN = ProbeStatus.HEALTHY, ProbeStatus.UNHEALTHY, ProbeStatus.UNKNOWN


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def test_a_daemon_is_healthy_while_its_heartbeat_is_young() -> None:
    young = of_heartbeat(Heartbeat("SENSOR", ago(30)), NOW)
    assert (young.status, young.measured) == (HEALTHY, {Measure.AGE_SECONDS: 30.0})
    old = of_heartbeat(Heartbeat("SENSOR", ago(121)), NOW)
    assert (old.status, old.measured) == (UNHEALTHY, {Measure.AGE_SECONDS: 121.0})
    assert of_heartbeat(Heartbeat("SENSOR", None), NOW).status is UNHEALTHY


def test_a_daemon_whose_rounds_fail_is_unhealthy() -> None:
    found = of_heartbeat(Heartbeat("SENSOR", ago(1), errors=2), NOW)
    assert (found.status, "2 errors" in found.message) == (UNHEALTHY, True)


def test_a_heartbeat_from_the_future_says_that_clocks_are_apart() -> None:
    assert of_heartbeat(Heartbeat("SENSOR", ago(-20)), NOW).measured == {Measure.AGE_SECONDS: 0.0}
    found = of_heartbeat(Heartbeat("SENSOR", ago(-3600)), NOW)
    assert (found.status, "Set the clocks" in found.message) == (UNKNOWN, True)


def test_a_ticker_is_late_by_what_is_over_its_interval() -> None:
    in_time = of_ticker(Ticker("s", "sensor", ago(-3)), NOW)
    assert (in_time.status, in_time.measured) == (HEALTHY, {Measure.LAG_SECONDS: 0.0})
    busy = of_ticker(Ticker("s", "sensor", ago(59)), NOW)
    assert (busy.status, busy.measured) == (HEALTHY, {Measure.LAG_SECONDS: 59.0})
    stale = of_ticker(Ticker("s", "schedule", ago(61)), NOW)
    assert (stale.status, stale.measured) == (UNHEALTHY, {Measure.LAG_SECONDS: 61.0})


def test_a_ticker_of_which_nothing_is_known_is_unknown() -> None:
    assert of_ticker(Ticker("s", "sensor", None), NOW).status is UNKNOWN


def test_a_ticker_that_somebody_switched_off_is_unhealthy() -> None:
    found = of_ticker(Ticker("s", "sensor", NOW, is_off=True), NOW)
    assert (found.status, "switched it off" in found.message) == (UNHEALTHY, True)


def test_a_ticker_whose_last_tick_failed_is_unhealthy() -> None:
    found = of_ticker(Ticker("s", "sensor", NOW, has_failed=True), NOW)
    assert (found.status, found.message) == (
        UNHEALTHY,
        "Look at the sensor's last tick in Dagster: it failed.",
    )


def test_a_run_that_waits_too_long_makes_the_queue_unhealthy() -> None:
    empty = of_queue(Queue(0, None), NOW)
    assert (empty.status, empty.measured) == (HEALTHY, {Measure.WAITING: 0.0, Measure.AGE_SECONDS: 0.0})
    busy = of_queue(Queue(40, ago(500)), NOW)
    assert (busy.status, busy.measured[Measure.WAITING]) == (HEALTHY, 40.0)
    assert of_queue(Queue(1, ago(601)), NOW).status is UNHEALTHY
