"""The picture of a service's day: requests, errors and latency over time, beside what is promised.

What belongs here: drawing with matplotlib, without a screen.
"""

from collections.abc import Mapping
from datetime import datetime
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import DateFormatter, date2num
from matplotlib.figure import Figure

from convergence_orchestration.health.levels.reading import OverTime
from convergence_orchestration.health.model import Objectives

_BLUE, _RED, _ORANGE, _GREY = "#2f6f9f", "#b01030", "#d9691b", "#808080"
_INCHES, _DPI = (9.0, 6.0), 80


def day(over_time: OverTime, objectives: Objectives) -> bytes | None:
    """A PNG of three panels; None of a day on which nothing was counted."""
    if not over_time.counts:
        return None
    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    requests, errors, latency = figure.subplots(3, 1, sharex=True)
    _draw_requests(requests, over_time)
    _draw_errors(errors, over_time, objectives)
    _draw_latency(latency, over_time, objectives)
    for axes in (requests, errors, latency):
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
    latency.xaxis.set_major_formatter(DateFormatter("%H:%M"))  # type: ignore[no-untyped-call]
    latency.set_xlabel("UTC")
    drawn = BytesIO()
    canvas.print_png(drawn)  # type: ignore[no-untyped-call]
    return drawn.getvalue()


def _draw_requests(axes: Axes, over_time: OverTime) -> None:
    seconds = over_time.step.total_seconds()
    rates = {at: one.requests / seconds for at, one in over_time.counts.items()}
    _line(axes, rates, _BLUE, "all")
    axes.set_ylabel("requests a second")


def _draw_errors(axes: Axes, over_time: OverTime, objectives: Objectives) -> None:
    known = {
        at: 100 * one.errors / one.requests
        for at, one in over_time.counts.items()
        if one.requests and one.errors is not None
    }
    _line(axes, known, _RED, "errors")
    axes.axhline(100 * objectives.error_rate, color=_GREY, linestyle="--", linewidth=0.8)
    axes.set_ylabel("errors, %")


def _draw_latency(axes: Axes, over_time: OverTime, objectives: Objectives) -> None:
    _line(axes, over_time.p95_ms, _BLUE, "P95")
    _line(axes, over_time.p99_ms, _ORANGE, "P99")
    axes.axhline(objectives.p95_ms, color=_BLUE, linestyle="--", linewidth=0.8)
    axes.axhline(objectives.p99_ms, color=_ORANGE, linestyle="--", linewidth=0.8)
    axes.set_ylabel("latency, ms")
    axes.legend(loc="upper left", fontsize="small")


def _line(axes: Axes, values: Mapping[datetime, float], color: str, label: str) -> None:
    moments = sorted(values)
    times = [float(date2num(at)) for at in moments]  # type: ignore[no-untyped-call]
    axes.plot(times, [values[at] for at in moments], color=color, label=label, marker=".", linewidth=1)
