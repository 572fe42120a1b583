"""The official client against the local Monitoring, over requests that are written here or went through a real front door."""

import json
import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.monitoring_v3 import MetricServiceClient, types
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

from convergence_orchestration.local_gcp.front_door.measurements import (
    Measurements,
    Position,
    Request,
    Source,
)
from convergence_orchestration.local_gcp.server import serving
from convergence_orchestration_tests.local_gcp.clouds import SettableClock
from convergence_orchestration_tests.local_gcp.front_door.doors import (
    Instance,
    eventually,
    load_on,
    revision,
    running_door,
    service,
)

_COUNT = "run.googleapis.com/request_count"
_LATENCIES = "run.googleapis.com/request_latencies"
_NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
_Aligner = types.Aggregation.Aligner
_Reducer = types.Aggregation.Reducer


@dataclass
class Monitoring:
    """The official client on requests that the test made up."""

    client: MetricServiceClient
    data_dir: Path
    clock: SettableClock

    def add(self, *at: float, code: int = 200, name: str = "api-1", milliseconds: float = 20.0) -> None:
        """Requests that ended so many seconds after noon."""
        source = Source("platform", "us-central1", "api", name, code)
        requests = [Request(source, _NOON.timestamp() + second, milliseconds) for second in at]
        with closing(Measurements(self.data_dir / "front_door.sqlite3")) as measurements:
            position = Position(1, 0, (_NOON + timedelta(hours=1)).timestamp())
            measurements.add(requests, position)

    def ask(self, text: str, minutes: float = 2, **fields: Any) -> list[types.TimeSeries]:
        """The series of the minutes after noon; further fields are the aggregation's."""
        interval = types.TimeInterval(start_time=_NOON, end_time=_NOON + timedelta(minutes=minutes))
        return list(self.client.list_time_series(request=self.request(text, interval, **fields)))

    def request(self, text: str, interval: types.TimeInterval, **fields: Any) -> types.ListTimeSeriesRequest:
        return types.ListTimeSeriesRequest(
            name="projects/platform",
            filter=text,
            interval=interval,
            view=types.ListTimeSeriesRequest.TimeSeriesView.FULL,
            aggregation=types.Aggregation(fields) if fields else None,
        )


@contextmanager
def _client(data_dir: Path, clock: Any, delay: timedelta = timedelta()) -> Iterator[MetricServiceClient]:
    with (
        serving(data_dir, clock=clock, metrics_delay=delay) as ports,
        grpc.insecure_channel(f"127.0.0.1:{ports.grpc}") as channel,
    ):
        yield MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel))


@pytest.fixture
def monitoring(tmp_path: Path) -> Iterator[Monitoring]:
    clock = SettableClock(_NOON + timedelta(minutes=30))
    with _client(tmp_path, clock) as client:
        yield Monitoring(client, tmp_path, clock)


def _of(metric: str, rest: str = "") -> str:
    return f'metric.type = "{metric}" AND resource.type = "cloud_run_revision"{rest}'


def _minute(aligner: Any, seconds: float = 60) -> dict[str, Any]:
    return {"alignment_period": timedelta(seconds=seconds), "per_series_aligner": aligner}


def test_requests_are_counted_by_minute_revision_and_response_code(monitoring: Monitoring) -> None:
    monitoring.add(1, 2, 61)
    monitoring.add(3, code=503)
    monitoring.add(4, name="api-2")

    found = monitoring.ask(_of(_COUNT))

    by_labels = {
        (one.resource.labels["revision_name"], one.metric.labels["response_code"]): one for one in found
    }
    assert set(by_labels) == {("api-1", "200"), ("api-1", "503"), ("api-2", "200")}
    one = by_labels["api-1", "200"]
    assert one.metric.type == _COUNT
    assert dict(one.metric.labels) == {"response_code": "200", "response_code_class": "2xx"}
    assert one.resource.type == "cloud_run_revision"
    assert dict(one.resource.labels) == {
        "project_id": "platform",
        "location": "us-central1",
        "service_name": "api",
        "configuration_name": "api",
        "revision_name": "api-1",
    }
    assert (one.metric_kind, one.value_type) == (2, 2)  # DELTA, INT64
    assert [point.value.int64_value for point in one.points] == [1, 2]  # newest first
    assert one.points[0].interval.start_time == _NOON + timedelta(minutes=1)
    assert one.points[0].interval.end_time == _NOON + timedelta(minutes=2)


def test_latencies_are_distributions(monitoring: Monitoring) -> None:
    monitoring.add(1, 2, milliseconds=10)
    monitoring.add(3, milliseconds=40)

    (one,) = monitoring.ask(_of(_LATENCIES))

    assert (one.metric_kind, one.value_type) == (2, 5)  # DELTA, DISTRIBUTION
    value = one.points[0].value.distribution_value
    assert value.count == 3
    assert value.mean == pytest.approx(20)
    assert value.sum_of_squared_deviation == pytest.approx(600)
    assert sum(value.bucket_counts) == 3
    assert value.bucket_options.exponential_buckets.growth_factor == 1.4


def test_labels_select_series(monitoring: Monitoring) -> None:
    monitoring.add(1)
    monitoring.add(2, code=404)
    monitoring.add(3, code=503, name="api-2")

    assert len(monitoring.ask(_of(_COUNT, ' AND resource.labels.revision_name = "api-1"'))) == 2
    assert (
        len(monitoring.ask(_of(_COUNT, ' AND metric.labels.response_code_class = one_of("4xx", "5xx")'))) == 2
    )
    assert len(monitoring.ask(_of(_COUNT, ' AND metric.label.response_code != "200"'))) == 2
    assert monitoring.ask(_of(_COUNT, ' AND resource.labels.location = "europe-west1"')) == []


def test_series_are_aligned_and_reduced(monitoring: Monitoring) -> None:
    monitoring.add(*range(60))
    monitoring.add(*range(30), code=500, milliseconds=300)

    (total,) = monitoring.ask(
        _of(_COUNT),
        minutes=1,
        cross_series_reducer=_Reducer.REDUCE_SUM,
        group_by_fields=["resource.label.service_name"],
        **_minute(_Aligner.ALIGN_DELTA),
    )
    assert [point.value.int64_value for point in total.points] == [90]
    assert dict(total.metric.labels) == {}
    assert dict(total.resource.labels) == {"project_id": "platform", "service_name": "api"}

    rates = monitoring.ask(_of(_COUNT), minutes=1, **_minute(_Aligner.ALIGN_RATE))
    assert sorted(one.points[0].value.double_value for one in rates) == [0.5, 1.0]
    assert rates[0].points[0].interval.start_time == rates[0].points[0].interval.end_time

    (slow,) = monitoring.ask(
        _of(_LATENCIES),
        minutes=1,
        cross_series_reducer=_Reducer.REDUCE_PERCENTILE_99,
        group_by_fields=["resource.labels.revision_name"],
        **_minute(_Aligner.ALIGN_DELTA),
    )
    assert slow.points[0].value.double_value == pytest.approx(300, rel=0.02)


def test_a_second_is_the_shortest_period(monitoring: Monitoring) -> None:
    monitoring.add(1, 2, 11, 25)
    (one,) = monitoring.ask(_of(_COUNT), minutes=0.5, **_minute(_Aligner.ALIGN_DELTA, 10))
    assert [point.value.int64_value for point in one.points] == [1, 1, 2]
    (one,) = monitoring.ask(_of(_COUNT), minutes=0.5, **_minute(_Aligner.ALIGN_DELTA, 1))
    assert [point.value.int64_value for point in one.points] == [1, 1, 1, 1]
    with pytest.raises(exceptions.InvalidArgument, match=r'alignmentPeriod had an invalid value of "0.5s"'):
        monitoring.ask(_of(_COUNT), **_minute(_Aligner.ALIGN_DELTA, 0.5))


def test_what_is_older_than_a_day_is_known_by_minute(monitoring: Monitoring) -> None:
    monitoring.add(1, 61)
    monitoring.clock.advance(timedelta(days=3))
    (one,) = monitoring.ask(_of(_COUNT), **_minute(_Aligner.ALIGN_DELTA))
    assert [point.value.int64_value for point in one.points] == [1, 1]


def test_nothing_is_shown_before_it_is_complete(monitoring: Monitoring) -> None:
    monitoring.add(1, 61)
    monitoring.clock.now = _NOON + timedelta(seconds=119)
    (one,) = monitoring.ask(_of(_COUNT))
    assert len(one.points) == 1


def test_metrics_can_be_late_as_the_real_ones(tmp_path: Path) -> None:
    clock = SettableClock(_NOON + timedelta(minutes=3))
    with _client(tmp_path, clock, timedelta(minutes=2)) as client:
        monitoring = Monitoring(client, tmp_path, clock)
        monitoring.add(1, 61)
        (one,) = monitoring.ask(_of(_COUNT))
        assert len(one.points) == 1
        clock.advance(timedelta(minutes=1))
        (one,) = monitoring.ask(_of(_COUNT))
        assert len(one.points) == 2


def test_pages_are_of_points_or_of_series_without_points(monitoring: Monitoring) -> None:
    monitoring.add(1, 61, 121)
    monitoring.add(2, 62, code=500)
    interval = types.TimeInterval(start_time=_NOON, end_time=_NOON + timedelta(minutes=3))
    request = monitoring.request(_of(_COUNT), interval)
    request.page_size = 2

    pages = list(monitoring.client.list_time_series(request=request).pages)
    assert [sum(len(one.points) for one in page.time_series) for page in pages] == [2, 2, 1]
    points = [point.value.int64_value for page in pages for one in page.time_series for point in one.points]
    assert points == [1] * 5

    request = types.ListTimeSeriesRequest(request, view=types.ListTimeSeriesRequest.TimeSeriesView.HEADERS)
    request.page_size = 1
    pages = list(monitoring.client.list_time_series(request=request).pages)
    assert [len(page.time_series) for page in pages] == [1, 1]
    assert not pages[0].time_series[0].points

    request.page_size = -1
    with pytest.raises(exceptions.InvalidArgument, match="page_size"):
        monitoring.client.list_time_series(request=request)


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        (_of("run.googleapis.com/nothing"), exceptions.NotFound, "Cannot find metric"),
        ("", exceptions.InvalidArgument, "single metric type"),
        ("metric.type = ", exceptions.InvalidArgument, "Field filter had an invalid value"),
        (_of(_COUNT, " AND resource.labels.zone = a"), exceptions.InvalidArgument, "valid combination"),
        (
            f'metric.type="{_COUNT}" AND resource.type="gce_instance"',
            exceptions.InvalidArgument,
            "valid comb",
        ),
        (f'metric.type="{_COUNT}" OR metric.type="x"', exceptions.MethodNotImplemented, "not served"),
    ],
)
def test_filters_are_refused_as_the_real_service_does(
    monitoring: Monitoring, text: str, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        monitoring.ask(text)


def test_aggregations_and_intervals_that_cannot_be_are_refused(monitoring: Monitoring) -> None:
    with pytest.raises(
        exceptions.InvalidArgument, match="The aligner cannot be applied to metrics with kind DELTA"
    ):
        monitoring.ask(_of(_LATENCIES), **_minute(_Aligner.ALIGN_RATE))
    with pytest.raises(exceptions.InvalidArgument, match="An aligner is needed"):
        monitoring.ask(_of(_COUNT), cross_series_reducer=_Reducer.REDUCE_SUM)
    with pytest.raises(exceptions.InvalidArgument, match="groupByFields"):
        monitoring.ask(
            _of(_COUNT),
            cross_series_reducer=_Reducer.REDUCE_SUM,
            group_by_fields=["metric.labels.zone"],
            **_minute(_Aligner.ALIGN_DELTA),
        )
    with pytest.raises(exceptions.InvalidArgument, match=r"interval\.startTime"):
        monitoring.ask(_of(_COUNT), minutes=-1)
    empty = monitoring.request(_of(_COUNT), types.TimeInterval())
    with pytest.raises(exceptions.InvalidArgument, match=r"interval\.endTime"):
        monitoring.client.list_time_series(request=empty)
    empty.order_by = "timestamp"
    with pytest.raises(exceptions.MethodNotImplemented, match="order_by"):
        monitoring.client.list_time_series(request=empty)


def test_the_metrics_are_described(monitoring: Monitoring) -> None:
    listed = list(monitoring.client.list_metric_descriptors(name="projects/platform"))
    assert [(one.type, one.unit) for one in listed] == [(_COUNT, "1"), (_LATENCIES, "ms")]
    request = types.ListMetricDescriptorsRequest(
        name="projects/platform", filter='metric.type = starts_with("compute.googleapis.com/")'
    )
    assert list(monitoring.client.list_metric_descriptors(request=request)) == []
    assert monitoring.client.get_metric_descriptor(name=listed[1].name).value_type == 5
    with pytest.raises(exceptions.NotFound, match="Cannot find metric"):
        monitoring.client.get_metric_descriptor(name="projects/platform/metricDescriptors/none")
    request.filter = 'resource.labels.location = "x"'
    with pytest.raises(exceptions.InvalidArgument, match=r"Only metric\.type"):
        monitoring.client.list_metric_descriptors(request=request)


def test_requests_through_the_front_door_have_the_percentiles_of_its_access_log(tmp_path: Path) -> None:
    with running_door(tmp_path) as door, Instance("one") as one:
        door.serve(service(revision("api-1", one, percent=100, tags=("candidate",))))
        begin = datetime.now(UTC)
        with load_on(door, path="/wait/0.02", threads=3, pause=0) as load:
            eventually(lambda: sum(load.answers.values()) >= 150)
        door.get("/status/500", host="candidate---api.localhost")
        door.get("/", host="none---api.localhost")  # reaches nobody
        end = datetime.now(UTC) + timedelta(seconds=40)
        requests = sum(load.answers.values())

        # half a minute from now, so that the last ten seconds are over
        with _client(tmp_path, lambda: datetime.now(UTC) + timedelta(hours=1)) as client:
            monitoring = Monitoring(client, tmp_path, SettableClock())
            interval = types.TimeInterval(start_time=begin - timedelta(seconds=20), end_time=end)
            period = (end - begin).total_seconds() + 20
            counts = monitoring.request(_of(_COUNT), interval, **_minute(_Aligner.ALIGN_DELTA, period))

            def counted() -> dict[str, int] | None:
                found = {
                    series.metric.labels["response_code"]: sum(p.value.int64_value for p in series.points)
                    for series in client.list_time_series(request=counts)
                }
                return found if found.get("500") else None

            assert eventually(counted) == {"200": requests, "500": 1}
            lines = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()]
            exact = sorted(line["duration_us"] / 1000 for line in lines if line["status"] == 200)
            for aligner, percent in ((_Aligner.ALIGN_PERCENTILE_50, 50), (_Aligner.ALIGN_PERCENTILE_95, 95)):
                asked = monitoring.request(
                    _of(_LATENCIES, ' AND metric.labels.response_code = "200"'),
                    interval,
                    **_minute(aligner, period),
                )
                (series,) = client.list_time_series(request=asked)
                wanted = exact[math.ceil(len(exact) * percent / 100) - 1]
                assert series.points[0].value.double_value == pytest.approx(wanted, rel=0.02)
        by_tag = [line for line in lines if line["tag"] == "candidate"]
        assert [line["revision"] for line in by_tag] == ["api-1"]
