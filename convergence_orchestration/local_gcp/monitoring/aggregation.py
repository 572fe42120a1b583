"""Aligning series to periods and reducing several to one.

What belongs here: which aligner and which reducer fit which metric, what they make of it, and their arithmetic; no
message of the API but the names in its enums.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

from convergence_orchestration.local_gcp.front_door.histogram import percentile
from convergence_orchestration.local_gcp.front_door.measurements import Amount, Sample
from convergence_orchestration.local_gcp.monitoring.descriptors import labels_of
from convergence_orchestration.local_gcp.refusals import invalid, not_served

type Value = int | float | Amount
type Labels = tuple[tuple[str, str], ...]
NONE = "NONE"
_PERCENTILES = {"PERCENTILE_99": 99, "PERCENTILE_95": 95, "PERCENTILE_50": 50, "PERCENTILE_05": 5}
_UNFIT_FOR_DISTRIBUTIONS = frozenset({"RATE", "MEAN", "MIN", "MAX", "NEXT_OLDER", "INTERPOLATE"})


class Form(Enum):
    """Kind and type of a series' values, by the names of Google's enums."""

    COUNTS = ("DELTA", "INT64")
    NUMBERS = ("GAUGE", "DOUBLE")
    DISTRIBUTIONS = ("DELTA", "DISTRIBUTION")


@dataclass(frozen=True)
class Series:
    """Values of one form by the end of their period, seconds since the epoch; a period lasts as long as stated."""

    labels: Labels
    form: Form
    period: float
    values: Mapping[float, Value]


@dataclass(frozen=True)
class Window:
    """What is asked for: periods of so many seconds, the last of which ends at `end`, after `start`."""

    start: float
    end: float
    period: float

    def end_of_period(self, at: float) -> float | None:
        """The end of the period with the time `at` in it, its end included; None if there is none."""
        ends = self.end - math.floor((self.end - at) / self.period) * self.period
        return ends if at <= self.end and ends > self.start else None


def raw(samples: Iterable[Sample], form: Form) -> list[Series]:
    """Each source's samples as they are."""
    values: dict[Labels, dict[float, Value]] = {}
    period = 0.0
    for sample in samples:
        period = sample.end - sample.start
        values.setdefault(_labels(sample), {})[sample.end] = _as(form, sample.amount)
    return [Series(labels, form, period, known) for labels, known in values.items()]


def aligned(samples: Iterable[Sample], form: Form, aligner: str, window: Window) -> list[Series]:
    """Each source's samples by period.

    Raises:
        Refusal: INVALID_ARGUMENT, the aligner does not fit the metric; UNIMPLEMENTED, it is not served.
    """
    make, made = _aligner(form, aligner, window.period)
    amounts: dict[Labels, dict[float, list[Amount]]] = {}
    for sample in samples:
        if (end := window.end_of_period(sample.end)) is not None:
            amounts.setdefault(_labels(sample), {}).setdefault(end, []).append(sample.amount)
    return [
        Series(labels, made, window.period, {end: make(Amount.sum(parts)) for end, parts in ends.items()})
        for labels, ends in amounts.items()
    ]


def reduced(series: Iterable[Series], form: Form, reducer: str, kept: Sequence[str]) -> list[Series]:
    """Series that have the same values of the kept labels, made one; `form` is what they have.

    Raises:
        Refusal: INVALID_ARGUMENT, the reducer does not fit the series; UNIMPLEMENTED, it is not served.
    """
    make, made = _reducer(form, reducer)
    groups: dict[Labels, list[Series]] = {}
    for one in series:
        labels = tuple((name, value) for name, value in one.labels if name in kept)
        groups.setdefault(labels, []).append(one)
    return [
        Series(labels, made, group[0].period, {end: make(_at(group, end)) for end in _ends(group)})
        for labels, group in groups.items()
    ]


def form_after(form: Form, aligner: str) -> Form:
    """What an aligner makes of a metric of this form.

    Raises:
        Refusal: as `aligned`.
    """
    return _aligner(form, aligner, 1.0)[1]


def _aligner(form: Form, aligner: str, period: float) -> tuple[Callable[[Amount], Value], Form]:
    if aligner in {"DELTA", "SUM"}:
        return lambda amount: _as(form, amount), form
    if form is Form.COUNTS and aligner == "RATE":
        return lambda amount: amount.count / period, Form.NUMBERS
    if form is Form.COUNTS or aligner not in _PERCENTILES:
        _refuse_aligner(form, aligner)
    return lambda amount: percentile(amount.histogram, _PERCENTILES[aligner]), Form.NUMBERS


def _refuse_aligner(form: Form, aligner: str) -> NoReturn:
    if aligner in (_PERCENTILES if form is Form.COUNTS else _UNFIT_FOR_DISTRIBUTIONS):
        _refuse("perSeriesAligner", f"ALIGN_{aligner}", "aligner", form)
    not_served(f"ALIGN_{aligner} for this metric")


def _reducer(form: Form, reducer: str) -> tuple[Callable[[Sequence[Value]], Value], Form]:
    made = form if reducer in {"SUM", "MIN", "MAX"} else Form.NUMBERS
    if form is Form.DISTRIBUTIONS:
        return _reducer_of_distributions(reducer), made
    numbers: dict[str, Callable[[Sequence[float]], float]] = {
        "SUM": sum,
        "MIN": min,
        "MAX": max,
        "MEAN": lambda values: sum(values) / len(values),
    }
    if reducer in _PERCENTILES:
        numbers[reducer] = lambda values: _rank(values, _PERCENTILES[reducer])
    if reducer not in numbers:
        not_served(f"REDUCE_{reducer}")
    make = numbers[reducer]
    return lambda values: make([value for value in values if not isinstance(value, Amount)]), made


def _reducer_of_distributions(reducer: str) -> Callable[[Sequence[Value]], Value]:
    if reducer == "SUM":
        return _together
    if reducer == "MEAN":
        return lambda values: _together(values).total / _together(values).count
    if reducer in {"MIN", "MAX"}:
        _refuse("crossSeriesReducer", f"REDUCE_{reducer}", "reducer", Form.DISTRIBUTIONS)
    if reducer not in _PERCENTILES:
        not_served(f"REDUCE_{reducer}")
    return lambda values: percentile(_together(values).histogram, _PERCENTILES[reducer])


def _refuse(field: str, value: str, what: str, form: Form) -> NoReturn:
    kind, type_ = form.value
    invalid(
        f'Field aggregation.{field} had an invalid value of "{value}": The {what} cannot be applied to metrics '
        f"with kind {kind} and value type {type_}."
    )


def _together(values: Sequence[Value]) -> Amount:
    return Amount.sum(value for value in values if isinstance(value, Amount))


def _rank(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below + (above - below) * (place - math.floor(place))


def _as(form: Form, amount: Amount) -> Value:
    return amount.count if form is Form.COUNTS else amount


def _labels(sample: Sample) -> Labels:
    return tuple(labels_of(sample.source).items())


def _at(group: Iterable[Series], end: float) -> list[Value]:
    return [series.values[end] for series in group if end in series.values]


def _ends(group: Iterable[Series]) -> list[float]:
    return sorted({end for series in group for end in series.values})
