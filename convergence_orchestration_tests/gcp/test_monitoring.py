from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from google.api.distribution_pb2 import Distribution as GoogleDistribution
from google.cloud.monitoring_v3 import types

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.gcp.clients import monitoring_client
from convergence_orchestration.gcp.monitoring import Monitoring, _times, meters_of
from convergence_orchestration.local_gcp.front_door.measurements import (
    Measurements,
    Position,
    Request,
    Source,
)
from convergence_orchestration.local_gcp.server import serving
from convergence_orchestration.settings import load_settings
from convergence_orchestration_tests.local_gcp.clouds import SettableClock

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PERIOD = timedelta(seconds=10)


@pytest.fixture
def monitoring(tmp_path: Path) -> Iterator[Monitoring]:
    clock = SettableClock(NOON + timedelta(minutes=5))
    with serving(tmp_path, clock=clock) as ports:
        settings = load_settings(_env_file=None, monitoring_emulator_host=f"127.0.0.1:{ports.grpc}")
        one = Monitoring(monitoring_client(settings), "platform")
        yield one
        one.close()


def add(directory: Path, revision: str, code: int, *seconds: float, milliseconds: float = 20) -> None:
    """Requests that ended so many seconds after noon."""
    source = Source("platform", "us-central1", "api", revision, code)
    requests = [Request(source, NOON.timestamp() + second, milliseconds) for second in seconds]
    with closing(Measurements(directory / "front_door.sqlite3")) as measurements:
        measurements.add(requests, Position(1, 0, (NOON + timedelta(hours=1)).timestamp()))


def test_requests_are_counted_by_revision_step_and_class_with_their_latencies(
    monitoring: Monitoring, tmp_path: Path
) -> None:
    add(tmp_path, "api-1", 200, 1, 2, 25)
    add(tmp_path, "api-1", 503, 3, milliseconds=700)
    add(tmp_path, "api-2", 200, 4)

    meters = monitoring.read("api", NOON, NOON + timedelta(seconds=30), PERIOD)

    steps = meters.of("api-1")
    assert steps is not None
    assert [(step.start - NOON).total_seconds() for step in steps] == [0, 10, 20]
    assert [dict(step.requests) for step in steps] == [{"2xx": 2, "5xx": 1}, {}, {"2xx": 1}]
    assert steps[0].latencies is not None
    assert sum(steps[0].latencies.counts) == 3
    assert len(steps[0].latencies.counts) == len(steps[0].latencies.bounds) + 1
    slow = [
        count
        for bound, count in zip(steps[0].latencies.bounds, steps[0].latencies.counts, strict=False)
        if bound > 500
    ]
    assert sum(slow) == 1
    assert steps[1].latencies is None


def test_a_quiet_revision_has_zeros_as_far_as_the_meters_reach_and_nothing_behind(
    monitoring: Monitoring, tmp_path: Path
) -> None:
    add(tmp_path, "api-1", 200, 15)

    meters = monitoring.read("api", NOON, NOON + timedelta(seconds=60), PERIOD)

    quiet = meters.of("api-2")
    assert meters.reach == NOON + timedelta(seconds=20)
    assert quiet is not None
    assert [dict(step.requests) for step in quiet] == [{}, {}]


def test_requests_that_their_callers_gave_up_are_told_apart(monitoring: Monitoring, tmp_path: Path) -> None:
    add(tmp_path, "api-1", 404, 1)
    add(tmp_path, "api-1", 499, 2, 3)

    steps = monitoring.read("api", NOON, NOON + timedelta(seconds=10), PERIOD).of("api-1")

    assert steps is not None
    assert [(dict(step.requests), step.unanswered) for step in steps] == [({"4xx": 3}, 2)]


def test_meters_that_say_nothing_at_all_are_no_zeros(monitoring: Monitoring) -> None:
    meters = monitoring.read("api", NOON, NOON + timedelta(seconds=60), PERIOD)

    assert meters.reach is None
    assert meters.of("api-1") is None


def test_who_may_not_read_the_meters_is_told_the_role(monitoring: Monitoring, tmp_path: Path) -> None:
    faults = [{"method": "*/ListTimeSeries", "code": "PERMISSION_DENIED"}]
    (tmp_path / "faults.yaml").write_text(yaml.safe_dump(faults))
    with pytest.raises(PermanentError, match=r"roles/monitoring\.viewer"):
        monitoring.read("api", NOON, NOON + timedelta(minutes=1))


Buckets = GoogleDistribution.BucketOptions


@pytest.mark.parametrize(
    ("buckets", "bounds"),
    [
        (Buckets(linear_buckets=Buckets.Linear(num_finite_buckets=2, width=10, offset=5)), (5, 15, 25)),
        (Buckets(explicit_buckets=Buckets.Explicit(bounds=[1, 2, 3])), (1, 2, 3)),
    ],
)
def test_every_kind_of_bucket_is_understood_and_empty_ones_are_put_back(
    buckets: object, bounds: tuple[float, ...]
) -> None:
    distribution = GoogleDistribution(count=2, bucket_options=buckets, bucket_counts=[1, 1])
    interval = types.TimeInterval(start_time=NOON, end_time=NOON + PERIOD)
    labels = {"resource": {"labels": {"revision_name": "api-1"}}}
    counted = types.TimeSeries(
        {
            **labels,
            "metric": {"labels": {"response_code_class": "2xx"}},
            "points": [{"interval": interval, "value": {"int64_value": 2}}],
        }
    )
    value = types.TypedValue(distribution_value=distribution)
    timed = types.TimeSeries({**labels, "points": [{"interval": interval, "value": value}]})

    steps = meters_of([counted], [timed], NOON, PERIOD).of("api-1")

    assert steps is not None
    assert steps[0].latencies is not None
    assert steps[0].latencies.bounds == bounds
    assert steps[0].latencies.counts == (1, 1, 0, 0)


def test_percentiles_are_monitorings_own_by_revision_or_together(
    monitoring: Monitoring, tmp_path: Path
) -> None:
    add(tmp_path, "api-1", 200, *([1.0] * 95), milliseconds=10)
    add(tmp_path, "api-2", 200, *([12.0] * 5), milliseconds=400)
    window = (NOON, NOON + timedelta(seconds=20))

    apart = monitoring.percentiles("api", window, PERIOD, 95)
    together = monitoring.percentiles("api", window, timedelta(seconds=20), 99, by_revision=False)

    first, second = NOON + PERIOD, NOON + 2 * PERIOD
    assert {name: set(times) for name, times in apart.items()} == {"api-1": {first}, "api-2": {second}}
    assert apart["api-1"][first] == pytest.approx(10, rel=0.02)
    assert together[""][second] == pytest.approx(400, rel=0.02)
    assert monitoring.percentiles("elsewhere", window, PERIOD, 50) == {}


def test_a_percentile_that_is_no_time_is_left_out() -> None:
    interval = types.TimeInterval(start_time=NOON, end_time=NOON + PERIOD)
    odd = [float("nan"), float("inf"), -1.0]
    points = [types.Point(interval=interval, value=types.TypedValue(double_value=value)) for value in odd]
    assert _times(points) == {}


def test_counts_are_those_of_reading_everything(monitoring: Monitoring, tmp_path: Path) -> None:
    add(tmp_path, "api-1", 200, 1, 2, 25)
    end = NOON + timedelta(seconds=30)

    counted, everything = (
        read("api", NOON, end, PERIOD).of("api-1") or () for read in (monitoring.counts, monitoring.read)
    )

    assert [step.requests for step in counted] == [step.requests for step in everything]
    assert {step.latencies for step in counted} == {None}
