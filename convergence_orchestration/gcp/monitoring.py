"""Cloud Monitoring: what Cloud Run counted of each revision, with what is not known told apart from zero.

What belongs here: reading the two metrics of requests in equal steps of time. What they mean for a release is judged
elsewhere (`releases`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from math import isfinite
from typing import Any, Final, Literal

from google.cloud.monitoring_v3 import MetricServiceClient, types

from convergence_orchestration.gcp.deadlines import TOTAL_SECONDS, each_attempt, repeatable
from convergence_orchestration.gcp.grants import project_grant
from convergence_orchestration.gcp.translate import Service, translated

_COUNT: Final = "run.googleapis.com/request_count"
_LATENCIES: Final = "run.googleapis.com/request_latencies"
_CLASS: Final = "response_code_class"
_CODE: Final = "response_code"
_GIVEN_UP: Final = frozenset({"0", "499"})
"""Codes of requests whose caller went away before there was an answer."""
_REVISION: Final = "revision_name"
_Aligner: Any = types.Aggregation.Aligner
_Reducer: Any = types.Aggregation.Reducer
_PERCENTILES: Final = {
    50: _Reducer.REDUCE_PERCENTILE_50,
    95: _Reducer.REDUCE_PERCENTILE_95,
    99: _Reducer.REDUCE_PERCENTILE_99,
}
type Percent = Literal[50, 95, 99]
_FULL: Any = types.ListTimeSeriesRequest.TimeSeriesView.FULL


@dataclass(frozen=True)
class Distribution:
    """Latencies in milliseconds: `counts` has one more than `bounds`, the first from 0, the last without an end."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """What ended in one step of time, which ends at `end` (UTC).

    Attributes:
        requests: by response class, such as `5xx`; a class that is not there counted nothing.
        latencies: None: not measured.
        unanswered: among the requests, those whose callers gave up before there was an answer.
    """

    start: datetime
    end: datetime
    requests: Mapping[str, int]
    latencies: Distribution | None
    unanswered: int = 0


@dataclass(frozen=True)
class ServiceMeters:
    """What the meters of a service say, by revision and in order of time.

    Attributes:
        reach: how far they are known: the end of the newest step in which any revision was counted. None: nothing is known of
            any of them, which is not the same as no requests.
        known: steps in which something was counted.
    """

    start: datetime
    period: timedelta
    reach: datetime | None
    known: Mapping[str, tuple[Step, ...]]

    def of(self, revision: str) -> tuple[Step, ...] | None:
        """Every step of a revision up to `reach`: one without a point is zero, one behind it is not known and left out.

        None when the meters say nothing at all.
        """
        if self.reach is None:
            return None
        counted = {step.end: step for step in self.known.get(revision, ())}
        steps, end = [], self.reach
        while end - self.period >= self.start:
            steps.append(counted.get(end) or Step(end - self.period, end, {}, None))
            end -= self.period
        return tuple(reversed(steps))


class Monitoring:
    """Cloud Monitoring of one project. Every method raises the errors of `translate.py`."""

    def __init__(
        self, client: MetricServiceClient, project: str, *, total_seconds: float = TOTAL_SECONDS
    ) -> None:
        self.client = client
        self._project = project
        self._total_seconds = total_seconds
        self._translated = partial(
            translated,
            service=Service("Cloud Monitoring", str(client.transport.host), project),
            grant=project_grant(project, "roles/monitoring.viewer"),
        )

    def read(
        self, service_id: str, start: datetime, end: datetime, period: timedelta = timedelta(minutes=1)
    ) -> ServiceMeters:
        """The service's requests that ended in the window, in steps of `period` (Google knows whole minutes) counted back from `end`."""
        with self._translated(f"reading the meters of {service_id}"):
            counts = list(self._list(_COUNT, service_id, (start, end), period, (_REVISION, _CLASS, _CODE)))
            latencies = list(self._list(_LATENCIES, service_id, (start, end), period, (_REVISION,)))
        return meters_of(counts, latencies, start, period)

    def counts(
        self, service_id: str, start: datetime, end: datetime, period: timedelta = timedelta(minutes=1)
    ) -> ServiceMeters:
        """The same without latencies, for half the cost."""
        with self._translated(f"reading the meters of {service_id}"):
            counts = list(self._list(_COUNT, service_id, (start, end), period, (_REVISION, _CLASS)))
        return meters_of(counts, (), start, period)

    def percentiles(
        self,
        service_id: str,
        window: tuple[datetime, datetime],
        period: timedelta,
        percent: Percent,
        *,
        by_revision: bool = True,
    ) -> dict[str, dict[datetime, float]]:
        """Milliseconds within which so many percent were answered, by revision (or "": all together) and end of step.

        Monitoring computes them, from buckets that it takes as evenly filled: they err by no more than a bucket's width. A
        step without latencies, or with an answer that is no time, is left out.
        """
        kept = (_REVISION,) if by_revision else ()
        with self._translated(f"reading the latencies of {service_id}"):
            found = list(self._list(_LATENCIES, service_id, window, period, kept, _PERCENTILES[percent]))
        return {
            series.resource.labels[_REVISION] if by_revision else "": _times(series.points)
            for series in found
        }

    def close(self) -> None:
        """Close the client."""
        self.client.transport.close()  # type: ignore[no-untyped-call]

    def _list(
        self,
        metric: str,
        service_id: str,
        window: tuple[datetime, datetime],
        period: timedelta,
        kept: tuple[str, ...],
        reducer: Any = _Reducer.REDUCE_SUM,  # noqa: ANN401 an enum of proto-plus, which has no types
    ) -> Iterable[types.TimeSeries]:
        labels = [f"{'resource' if label == _REVISION else 'metric'}.labels.{label}" for label in kept]
        request = types.ListTimeSeriesRequest(
            name=f"projects/{self._project}",
            filter=f'metric.type = "{metric}" AND resource.type = "cloud_run_revision" '
            f'AND resource.labels.service_name = "{service_id}"',
            interval=types.TimeInterval(start_time=window[0], end_time=window[1]),
            view=_FULL,
            aggregation=types.Aggregation(
                alignment_period=period,
                per_series_aligner=_Aligner.ALIGN_DELTA,
                cross_series_reducer=reducer,
                group_by_fields=labels,
            ),
        )
        return self.client.list_time_series(
            request=request, retry=repeatable(self._total_seconds), timeout=each_attempt()
        )


def meters_of(
    counts: Iterable[types.TimeSeries],
    latencies: Iterable[types.TimeSeries],
    start: datetime,
    period: timedelta,
) -> ServiceMeters:
    """The series put together by revision and step."""
    requests: dict[tuple[str, datetime], Counter[str]] = {}
    unanswered: Counter[tuple[str, datetime]] = Counter()
    for series in counts:
        revision, labels = series.resource.labels[_REVISION], series.metric.labels
        for point in series.points:
            place, number = (revision, _end(point)), int(point.value.int64_value)
            requests.setdefault(place, Counter())[labels[_CLASS]] += number
            if labels[_CODE] in _GIVEN_UP:
                unanswered[place] += number
    measured = {
        (series.resource.labels[_REVISION], _end(point)): _distribution(point.value.distribution_value)
        for series in latencies
        for point in series.points
    }
    known: dict[str, list[Step]] = {}
    for place in sorted(requests):
        revision, end = place
        step = Step(end - period, end, requests[place], measured.get(place), unanswered[place])
        known.setdefault(revision, []).append(step)
    reach = max((end for _, end in requests), default=None)
    return ServiceMeters(start, period, reach, {name: tuple(steps) for name, steps in known.items()})


def _times(points: Iterable[types.Point]) -> dict[datetime, float]:
    known = ((_end(point), float(point.value.double_value)) for point in points)
    return {end: value for end, value in known if isfinite(value) and value >= 0}


def _end(point: types.Point) -> datetime:
    end = point.interval.end_time
    return datetime.fromtimestamp(
        end.timestamp(), end.tzinfo
    )  # Google's own class of time compares by nanoseconds


def _distribution(found: Any) -> Distribution:  # noqa: ANN401 protobuf's class has no types
    """Google's distribution; its trailing empty buckets, which it leaves out, are put back."""
    options = found.bucket_options
    kind = options.WhichOneof("options")
    if kind == "exponential_buckets":
        of = options.exponential_buckets
        bounds = [of.scale * of.growth_factor**i for i in range(of.num_finite_buckets + 1)]
    elif kind == "linear_buckets":
        of = options.linear_buckets
        bounds = [of.offset + of.width * i for i in range(of.num_finite_buckets + 1)]
    else:
        bounds = list(options.explicit_buckets.bounds)
    missing = len(bounds) + 1 - len(found.bucket_counts)
    return Distribution(tuple(bounds), (*map(int, found.bucket_counts), *([0] * missing)))
