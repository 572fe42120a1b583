import pytest

from convergence_orchestration.local_gcp.monitoring.filters import Filter, parse
from convergence_orchestration.local_gcp.refusals import Refusal

_COUNT = "run.googleapis.com/request_count"
_LABELS = {"resource.labels.service_name": "api", "metric.labels.response_code_class": "5xx"}


def _matches(text: str) -> bool:
    return parse(text).matches(_LABELS, _COUNT, "cloud_run_revision")


@pytest.mark.parametrize(
    "text",
    [
        "",
        f'metric.type = "{_COUNT}"',
        f'metric.type="{_COUNT}" AND resource.type="cloud_run_revision"',
        f'metric.type="{_COUNT}" resource.labels.service_name="api"',
        f"metric.type={_COUNT}\n  AND resource.label.service_name = api",
        'metric.label.response_code_class != "2xx"',
        'metric.labels.response_code_class = one_of("4xx", "5xx")',
        'metric.labels.response_code_class != one_of("2xx")',
        'metric.type = starts_with("run.googleapis.com/") AND resource.labels.service_name = "a\\pi"',
    ],
)
def test_a_filter_that_fits(text: str) -> None:
    assert _matches(text)


@pytest.mark.parametrize(
    "text",
    [
        'metric.type = "run.googleapis.com/request_latencies"',
        f'metric.type="{_COUNT}" AND resource.labels.service_name="jobs"',
        'metric.labels.response_code_class != one_of("4xx", "5xx")',
        'metric.type = starts_with("compute.googleapis.com/")',
    ],
)
def test_a_filter_that_does_not_fit(text: str) -> None:
    assert not _matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "metric.type",
        "metric.type =",
        'metric.type = "unclosed',
        "= 5",
        "metric.type = = x",
        'metric.type one_of("a")',
        'metric.type = one_of("a"',
        "metric.type = one_of()",
        "AND",
        "metric.type = x AND",
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="Field filter had an invalid value of") as refused:
        parse(text)
    assert refused.value.code.name == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "text",
    [
        "metric.type = a OR metric.type = b",
        "NOT metric.type = a",
        "(metric.type = a)",
        'metric.type = has_substring("a")',
    ],
)
def test_what_only_the_real_service_can_do_is_not_served(text: str) -> None:
    with pytest.raises(Refusal, match="not served by the local cloud") as refused:
        parse(text)
    assert refused.value.code.name == "UNIMPLEMENTED"


def test_one_metric_type_is_asked_for() -> None:
    assert parse(f'metric.type = "{_COUNT}" AND resource.type = x').metric_type() == _COUNT
    for text in ("", "metric.type != a", "metric.type = one_of(a, b)", "metric.type = a metric.type = b"):
        with pytest.raises(Refusal, match="single metric type"):
            parse(text).metric_type()
    assert isinstance(parse(""), Filter)
