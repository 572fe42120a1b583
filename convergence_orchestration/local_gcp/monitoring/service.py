"""google.monitoring.v3.MetricService, as far as it reads Cloud Run's metrics.

What belongs here: one function for each method: check, look up, answer. Like the real service it knows whole minutes unless
an alignment period asks for less, which only this one allows: 10 s, or 1 s for the last two hours, so that a rollout here need
not take an hour and a bad release is found as fast as production finds it in its request log.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

from google.api.metric_pb2 import MetricDescriptor
from google.cloud.monitoring_v3 import types

from convergence_orchestration.local_gcp.fields import name_pattern, require_name
from convergence_orchestration.local_gcp.front_door.measurements import (
    COARSE_SECONDS,
    FINE_SECONDS,
    FINEST_SECONDS,
    KEPT_SECONDS,
    Sample,
    read_samples,
)
from convergence_orchestration.local_gcp.monitoring import aggregation
from convergence_orchestration.local_gcp.monitoring.aggregation import NONE, Form, Series, Window
from convergence_orchestration.local_gcp.monitoring.answers import page_of_points, time_series
from convergence_orchestration.local_gcp.monitoring.descriptors import (
    LABELS,
    REQUEST_COUNT,
    REQUEST_LATENCIES,
    RESOURCE_TYPE,
    descriptors,
    labels_of,
)
from convergence_orchestration.local_gcp.monitoring.filters import (
    METRIC_TYPE,
    Filter,
    normal_field,
    parse,
    refuse_filter,
)
from convergence_orchestration.local_gcp.paging import place_of, token_of
from convergence_orchestration.local_gcp.refusals import invalid, not_served, refuse
from convergence_orchestration.local_gcp.rpc import Call, Service, rpc

_PROJECT = name_pattern("projects/{project}")
_FORMS = {REQUEST_COUNT: Form.COUNTS, REQUEST_LATENCIES: Form.DISTRIBUTIONS}
_MAX_POINTS = 100_000
_NO_COMBINATION = (
    "The supplied filter does not specify a valid combination of metric and monitored resource descriptors. "
    "The query will not return any time series."
)


class _NoRest:
    """The official client has no REST transport to take rules from."""


class MetricService(Service):
    """Time series and descriptors of the front door's requests, visible `delay` after they ended."""

    full_name = "google.monitoring.v3.MetricService"
    host = "monitoring.googleapis.com"
    http_rules = _NoRest

    def __init__(self, database: Path, delay: timedelta = timedelta()) -> None:
        self._database = database
        self._delay = delay

    @rpc(writes=False)
    def list_metric_descriptors(
        self, request: types.ListMetricDescriptorsRequest, _call: Call
    ) -> types.ListMetricDescriptorsResponse:
        """The metrics whose type the filter fits."""
        require_name(_PROJECT, request.name, "name")
        wanted = parse(request.filter)
        if wanted.fields():
            refuse_filter(request.filter, "Only metric.type can be compared.")
        found = [one for one in descriptors(request.name) if wanted.matches({}, one.type, RESOURCE_TYPE)]
        return types.ListMetricDescriptorsResponse(metric_descriptors=found)

    @rpc(writes=False)
    def get_metric_descriptor(
        self, request: types.GetMetricDescriptorRequest, _call: Call
    ) -> MetricDescriptor:
        """One metric."""
        project, _, metric_type = request.name.partition("/metricDescriptors/")
        require_name(_PROJECT, project, "name")
        if metric_type not in _FORMS:
            _no_such_metric(metric_type)
        return next(one for one in descriptors(project) if one.type == metric_type)

    @rpc(writes=False)
    def list_time_series(
        self, request: types.ListTimeSeriesRequest, call: Call
    ) -> types.ListTimeSeriesResponse:
        """The series that the filter fits, aligned and reduced as asked."""
        project = require_name(_PROJECT, request.name, "name")["project"]
        if request.order_by or "secondary_aggregation" in request:
            not_served("A list with order_by or secondary_aggregation")
        wanted = _required_filter(request)
        metric_type = wanted.metric_type()
        series = self._series(request, wanted, project, call.now)
        has_points = request.view == types.ListTimeSeriesRequest.TimeSeriesView.FULL
        found = (time_series(one, metric_type, project, has_points=has_points) for one in series)
        return _page(request, list(found), counts_points=has_points)

    def _series(
        self, request: types.ListTimeSeriesRequest, wanted: Filter, project: str, now: datetime
    ) -> list[Series]:
        form = _FORMS[wanted.metric_type()]
        asked = request.aggregation
        aligner = asked.per_series_aligner.name.removeprefix("ALIGN_")
        reducer = asked.cross_series_reducer.name.removeprefix("REDUCE_")
        if aligner == NONE:
            if reducer != NONE:
                invalid(
                    'Field aggregation.perSeriesAligner had an invalid value of "ALIGN_NONE": '
                    "An aligner is needed where series are reduced."
                )
            window = _window(request, COARSE_SECONDS)
            return aggregation.raw(self._samples(project, wanted, window, now, COARSE_SECONDS), form)
        window = _window(request, _period(request))
        form_aligned = aggregation.form_after(form, aligner)
        samples = self._samples(project, wanted, window, now, _grain(window, now))
        series = aggregation.aligned(samples, form, aligner, window)
        if reducer == NONE:
            return series
        return aggregation.reduced(series, form_aligned, reducer, _kept_labels(request))

    def _samples(
        self, project: str, wanted: Filter, window: Window, now: datetime, grain: int
    ) -> list[Sample]:
        """The samples that fit, are complete and may be seen already, and end in the window."""
        first = int(window.start - window.period)
        found, complete_until = read_samples(self._database, project, (first, int(window.end)), grain)
        visible = min(complete_until, (now - self._delay).timestamp(), window.end)
        metric_type = wanted.metric_type()
        return [
            sample
            for sample in found
            if window.start < sample.end <= visible or sample.end == window.start == window.end
            if wanted.matches(labels_of(sample.source), metric_type, RESOURCE_TYPE)
        ]


def _required_filter(request: types.ListTimeSeriesRequest) -> Filter:
    wanted = parse(request.filter)
    metric_type = wanted.metric_type()
    if metric_type not in _FORMS:
        _no_such_metric(metric_type)
    fits_resource = all(
        condition.matches(RESOURCE_TYPE)
        for condition in wanted.conditions
        if condition.field not in wanted.fields() | {METRIC_TYPE}
    )
    if not fits_resource or wanted.fields() - LABELS:
        refuse_filter(request.filter, _NO_COMBINATION)
    return wanted


def _no_such_metric(metric_type: str) -> NoReturn:
    refuse(
        "NOT_FOUND",
        f'Cannot find metric(s) that match type = "{metric_type}". If a metric was created recently, it could take '
        "up to 10 minutes to become available. Please try again soon.",
    )


def _window(request: types.ListTimeSeriesRequest, period: float) -> Window:
    interval = request.interval
    if interval.end_time is None:
        invalid("Field interval.endTime had an invalid value: It is required.")
    start, end = (interval.start_time or interval.end_time), interval.end_time
    if start > end:
        invalid(
            "Field interval.startTime had an invalid value: The start time must not be after the end time."
        )
    return Window(start.timestamp(), end.timestamp(), period)


def _period(request: types.ListTimeSeriesRequest) -> float:
    period = request.aggregation.alignment_period
    seconds = period.total_seconds() if period else 0.0
    if seconds < FINEST_SECONDS:
        invalid(
            f'Field aggregation.alignmentPeriod had an invalid value of "{seconds:g}s": '
            f"The alignment period must be greater than or equal to {FINEST_SECONDS} seconds."
        )
    return seconds


def _grain(window: Window, now: datetime) -> int:
    wanted = FINEST_SECONDS if window.period % FINE_SECONDS else FINE_SECONDS
    is_kept = window.start - window.period > now.timestamp() - KEPT_SECONDS[wanted]
    return wanted if is_kept else COARSE_SECONDS


def _kept_labels(request: types.ListTimeSeriesRequest) -> list[str]:
    kept = [normal_field(field) for field in request.aggregation.group_by_fields]
    for field in kept:
        if field not in LABELS:
            invalid(f'Field aggregation.groupByFields had an invalid value of "{field}": No series has it.')
    return kept


def _page(
    request: types.ListTimeSeriesRequest, found: list[types.TimeSeries], *, counts_points: bool
) -> types.ListTimeSeriesResponse:
    if request.page_size < 0:
        invalid("page_size must not be negative.")
    first, size = place_of(request.page_token), min(request.page_size or _MAX_POINTS, _MAX_POINTS)
    if counts_points:
        page, has_more = page_of_points(found, first, size)
    else:
        page, has_more = found[first : first + size], len(found) > first + size
    token = token_of(first + size) if has_more else ""
    return types.ListTimeSeriesResponse(time_series=page, next_page_token=token)
