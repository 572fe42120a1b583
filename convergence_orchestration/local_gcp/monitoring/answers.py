"""Series as the API's messages.

What belongs here: building `TimeSeries`, points and distributions, and cutting them into pages of points.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from google.api.distribution_pb2 import Distribution
from google.api.metric_pb2 import Metric, MetricDescriptor
from google.api.monitored_resource_pb2 import MonitoredResource
from google.cloud.monitoring_v3 import types

from convergence_orchestration.local_gcp.front_door.histogram import FINITE_BUCKETS, GROWTH, coarse_counts
from convergence_orchestration.local_gcp.front_door.measurements import Amount
from convergence_orchestration.local_gcp.monitoring.aggregation import Form, Series, Value
from convergence_orchestration.local_gcp.monitoring.descriptors import METRIC, RESOURCE, RESOURCE_TYPE, part


def time_series(series: Series, metric_type: str, project: str, *, has_points: bool) -> types.TimeSeries:
    """The series with its points, the newest first, or without them."""
    kind, value_type = series.form.value
    labels = dict(series.labels)
    resource = {**part(labels, RESOURCE), "project_id": project}
    return types.TimeSeries(
        metric=Metric(type=metric_type, labels=part(labels, METRIC)),
        resource=MonitoredResource(type=RESOURCE_TYPE, labels=resource),
        metric_kind=MetricDescriptor.MetricKind.Value(kind),
        value_type=MetricDescriptor.ValueType.Value(value_type),
        points=_points(series) if has_points else [],
    )


def page_of_points(
    found: Iterable[types.TimeSeries], first: int, size: int
) -> tuple[list[types.TimeSeries], bool]:
    """Series with the points from number `first` on, `size` of them over all series; whether there are more."""
    page, passed, end = [], 0, first + size
    has_more = False
    for series in found:
        points = list(series.points)
        wanted = points[max(0, first - passed) : max(0, end - passed)]
        passed += len(points)
        has_more = passed > end
        if wanted:
            series.points = wanted
            page.append(series)
    return page, has_more


def _points(series: Series) -> list[types.Point]:
    newest_first = sorted(series.values.items(), reverse=True, key=lambda item: item[0])
    return [
        types.Point(interval=_interval(series, end), value=_typed(series.form, value))
        for end, value in newest_first
    ]


def _interval(series: Series, end: float) -> types.TimeInterval:
    start = end if series.form is Form.NUMBERS else end - series.period
    return types.TimeInterval(start_time=_time(start), end_time=_time(end))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _typed(form: Form, value: Value) -> types.TypedValue:
    if isinstance(value, Amount):
        return types.TypedValue(distribution_value=_distribution(value))
    if form is Form.COUNTS:
        return types.TypedValue(int64_value=int(value))
    return types.TypedValue(double_value=value)


def _distribution(amount: Amount) -> Distribution:
    buckets = Distribution.BucketOptions.Exponential(
        num_finite_buckets=FINITE_BUCKETS, growth_factor=GROWTH, scale=1.0
    )
    mean = amount.total / amount.count
    return Distribution(
        count=amount.count,
        mean=mean,
        sum_of_squared_deviation=max(0.0, amount.squares - amount.count * mean**2),
        bucket_options=Distribution.BucketOptions(exponential_buckets=buckets),
        bucket_counts=coarse_counts(amount.histogram),
    )
