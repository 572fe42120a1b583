import pytest

from convergence_orchestration.local_gcp.front_door.measurements import Amount, Sample, Source
from convergence_orchestration.local_gcp.monitoring.aggregation import (
    Form,
    Series,
    Window,
    aligned,
    form_after,
    raw,
    reduced,
)
from convergence_orchestration.local_gcp.refusals import Refusal

_MINUTE = Window(start=0, end=120, period=60)
_SERVICE = ["resource.labels.service_name"]


def _sample(start: int, *latencies: float, code: int = 200, revision: str = "api-1") -> Sample:
    source = Source("platform", "us-central1", "api", revision, code)
    return Sample(source, start, start + 10, Amount.of(latencies))


def _numbers(samples: list[Sample], form: Form, aligner: str, window: Window = _MINUTE) -> dict[float, float]:
    (series,) = aligned(samples, form, aligner, window)
    return {end: value for end, value in series.values.items() if not isinstance(value, Amount)}


def test_periods_end_where_the_interval_ends() -> None:
    window = Window(start=5, end=125, period=60)
    samples = [_sample(0, 1, 1), _sample(50, 1), _sample(60, 1), _sample(110, 1), _sample(120, 1)]
    assert _numbers(samples, Form.COUNTS, "DELTA", window) == {
        65: 3,
        125: 2,
    }  # the sample that ends at 130 is out


def test_a_period_without_requests_has_no_point() -> None:
    assert _numbers([_sample(70, 1)], Form.COUNTS, "DELTA") == {120: 1}


def test_rates_are_by_the_second() -> None:
    assert _numbers([_sample(0, 1, 1, 1)], Form.COUNTS, "RATE") == {60: 0.05}


def test_percentiles_of_a_period_are_of_all_its_requests() -> None:
    samples = [_sample(0, *[10.0] * 90), _sample(10, *[200.0] * 10)]
    assert _numbers(samples, Form.DISTRIBUTIONS, "PERCENTILE_50")[60] == pytest.approx(10, rel=0.02)
    assert _numbers(samples, Form.DISTRIBUTIONS, "PERCENTILE_95")[60] == pytest.approx(200, rel=0.02)


def test_unaligned_series_are_the_samples() -> None:
    (series,) = raw([_sample(0, 1), _sample(10, 1, 1)], Form.COUNTS)
    assert series.values == {10: 1, 20: 2}
    assert series.period == 10
    assert raw([], Form.COUNTS) == []


@pytest.mark.parametrize(
    ("reducer", "value"),
    [("SUM", 5), ("MEAN", 2.5), ("MIN", 1), ("MAX", 4), ("PERCENTILE_50", 2.5), ("PERCENTILE_99", 3.97)],
)
def test_counts_are_reduced(reducer: str, value: float) -> None:
    series = aligned([_sample(0, 1), _sample(0, 1, 1, 1, 1, code=500)], Form.COUNTS, "DELTA", _MINUTE)
    (one,) = reduced(series, Form.COUNTS, reducer, _SERVICE)
    assert one.values == {60: pytest.approx(value)}
    assert one.labels == (("resource.labels.service_name", "api"),)
    assert one.form is (Form.COUNTS if reducer in {"SUM", "MIN", "MAX"} else Form.NUMBERS)


def test_distributions_are_reduced_together() -> None:
    samples = [_sample(0, *[10.0] * 90), _sample(0, *[200.0] * 10, code=500)]
    series = aligned(samples, Form.DISTRIBUTIONS, "DELTA", _MINUTE)

    def reduce(reducer: str) -> Series:
        (one,) = reduced(series, Form.DISTRIBUTIONS, reducer, _SERVICE)
        return one

    assert reduce("PERCENTILE_50").values[60] == pytest.approx(10, rel=0.02)
    assert reduce("PERCENTILE_99").values[60] == pytest.approx(200, rel=0.02)
    assert reduce("MEAN").values[60] == pytest.approx(29)
    together = reduce("SUM")
    assert together.form is Form.DISTRIBUTIONS
    assert isinstance(together.values[60], Amount)
    assert together.values[60].count == 100


def test_what_is_not_grouped_by_keeps_apart() -> None:
    samples = [_sample(0, 1), _sample(0, 1, 1, revision="api-2"), _sample(60, 1, revision="api-2")]
    series = aligned(samples, Form.COUNTS, "DELTA", _MINUTE)
    found = reduced(series, Form.COUNTS, "SUM", ["resource.labels.revision_name"])
    assert {one.labels[0][1]: one.values for one in found} == {"api-1": {60: 1}, "api-2": {60: 2, 120: 1}}


@pytest.mark.parametrize(
    ("form", "aligner", "refusal"),
    [
        (Form.DISTRIBUTIONS, "RATE", "kind DELTA and value type DISTRIBUTION"),
        (Form.DISTRIBUTIONS, "MEAN", "kind DELTA and value type DISTRIBUTION"),
        (Form.COUNTS, "PERCENTILE_99", "kind DELTA and value type INT64"),
        (Form.COUNTS, "MEAN", "not served"),
        (Form.DISTRIBUTIONS, "COUNT", "not served"),
    ],
)
def test_an_aligner_that_does_not_fit_is_refused(form: Form, aligner: str, refusal: str) -> None:
    with pytest.raises(Refusal, match=refusal):
        form_after(form, aligner)


@pytest.mark.parametrize(
    ("form", "reducer", "refusal"),
    [
        (Form.DISTRIBUTIONS, "MAX", "The reducer cannot be applied"),
        (Form.DISTRIBUTIONS, "COUNT", "not served"),
        (Form.COUNTS, "STDDEV", "not served"),
    ],
)
def test_a_reducer_that_does_not_fit_is_refused(form: Form, reducer: str, refusal: str) -> None:
    with pytest.raises(Refusal, match=refusal):
        reduced([], form, reducer, [])
