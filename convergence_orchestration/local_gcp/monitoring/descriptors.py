"""The metrics that are served, and the labels of their series.

What belongs here: names and descriptions as Google's list of metrics has them.
"""

from collections.abc import Mapping

from google.api.label_pb2 import LabelDescriptor
from google.api.metric_pb2 import MetricDescriptor

from convergence_orchestration.local_gcp.front_door.measurements import Source

REQUEST_COUNT = "run.googleapis.com/request_count"
REQUEST_LATENCIES = "run.googleapis.com/request_latencies"
RESOURCE_TYPE = "cloud_run_revision"
METRIC = "metric.labels."
RESOURCE = "resource.labels."
_METRIC_LABELS = {
    "response_code": "Response code of a request.",
    "response_code_class": "Response code class of a request.",
}
_RESOURCE_LABELS = ("project_id", "service_name", "revision_name", "location", "configuration_name")
LABELS = frozenset(
    {METRIC + label for label in _METRIC_LABELS} | {RESOURCE + label for label in _RESOURCE_LABELS}
)


def labels_of(source: Source) -> dict[str, str]:
    """A series' labels, each named as a filter names it."""
    return {
        f"{METRIC}response_code": str(source.code),
        f"{METRIC}response_code_class": f"{source.code // 100}xx",
        f"{RESOURCE}project_id": source.project,
        f"{RESOURCE}service_name": source.service,
        f"{RESOURCE}revision_name": source.revision,
        f"{RESOURCE}location": source.location,
        f"{RESOURCE}configuration_name": source.service,
    }


def part(labels: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The metric's or the resource's labels by their short names."""
    return {name.removeprefix(prefix): value for name, value in labels.items() if name.startswith(prefix)}


def descriptors(project_name: str) -> list[MetricDescriptor]:
    """All metrics of a project, in the order of their types."""
    integer, distribution = MetricDescriptor.INT64, MetricDescriptor.DISTRIBUTION
    return [
        _descriptor(project_name, REQUEST_COUNT, integer, "1", "Number of requests reaching the revision."),
        _descriptor(
            project_name, REQUEST_LATENCIES, distribution, "ms", "Latency of requests reaching the revision."
        ),
    ]


def _descriptor(
    project_name: str, metric_type: str, value_type: int, unit: str, description: str
) -> MetricDescriptor:
    labels = [
        LabelDescriptor(key=key, value_type=LabelDescriptor.STRING, description=sentence)
        for key, sentence in _METRIC_LABELS.items()
    ]
    return MetricDescriptor(
        name=f"{project_name}/metricDescriptors/{metric_type}",
        type=metric_type,
        labels=labels,
        metric_kind=MetricDescriptor.DELTA,
        value_type=value_type,
        unit=unit,
        description=description,
        monitored_resource_types=[RESOURCE_TYPE],
    )
