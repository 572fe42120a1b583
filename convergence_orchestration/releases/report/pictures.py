"""The pictures of a release: who had which traffic, errors and latency of both revisions, decisions marked.

What belongs here: drawing with matplotlib, without a screen. What is drawn is a `Story`.
"""

from datetime import datetime
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import DateFormatter, date2num
from matplotlib.figure import Figure

from convergence_orchestration.releases.model import WHOLE, EventKind, RevisionName
from convergence_orchestration.releases.report.story import Story

_CANDIDATE, _STABLE = "#d9691b", "#2f6f9f"
_BAD = frozenset({EventKind.ROLLED_BACK, EventKind.OUTSIDE_CHANGE, EventKind.ABORTED, EventKind.STOPPED})
_INCHES, _DPI = (9.0, 7.0), 80


def timeline(story: Story) -> bytes | None:
    """A PNG of three panels over the same time; None for a release that never had traffic."""
    if not story.moves:
        return None
    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    traffic, errors, latency = figure.subplots(3, 1, sharex=True)
    _draw_traffic(traffic, story)
    _draw_measured(errors, latency, story)
    for axes in (traffic, errors, latency):
        _mark_decisions(axes, story, is_numbered=axes is traffic)
        axes.grid(visible=True, alpha=0.3)
    latency.xaxis.set_major_formatter(DateFormatter("%H:%M:%S"))  # type: ignore[no-untyped-call]
    latency.set_xlabel("UTC")
    picture = BytesIO()
    canvas.print_png(picture)  # type: ignore[no-untyped-call]
    return picture.getvalue()


def _at(moment: datetime) -> float:
    """A moment as matplotlib's axes know it."""
    return float(date2num(moment))  # type: ignore[no-untyped-call]


def _draw_traffic(axes: Axes, story: Story) -> None:
    end = story.ended_at or max(move.at for move in story.moves)
    times = [_at(moment) for moment in (story.moves[0].at, *(move.at for move in story.moves), end)]
    shares = [0, *(move.shares.get(story.revision or RevisionName(""), 0) for move in story.moves)]
    shares.append(shares[-1])
    rest = [WHOLE - share for share in shares]
    colors = [_CANDIDATE, _STABLE]
    axes.stackplot(times, shares, rest, labels=["candidate", "others"], colors=colors, step="post", alpha=0.7)
    axes.set_ylabel("traffic, %")
    axes.set_ylim(0, WHOLE)
    axes.legend(loc="upper left", fontsize="small")


def _draw_measured(errors: Axes, latency: Axes, story: Story) -> None:
    for name, measured in story.measured.items():
        color, label = (_CANDIDATE, "candidate") if name == story.revision else (_STABLE, "stable")
        busy = [one for one in measured if one.requests]
        ends = [_at(one.end) for one in busy]
        rates = [100 * one.errors / one.requests for one in busy]
        errors.plot(ends, rates, color=color, label=label, marker=".", linewidth=1)
        timed = [(_at(one.end), one.latencies.quantile(0.95)) for one in busy if one.latencies]
        slow = [value or 0.0 for _, value in timed]
        latency.plot([at for at, _ in timed], slow, color=color, label=label, marker=".", linewidth=1)
    errors.set_ylabel("errors, %")
    errors.set_ylim(bottom=0)
    latency.set_ylabel("95th percentile, ms")
    latency.set_ylim(bottom=0)


def _mark_decisions(axes: Axes, story: Story, *, is_numbered: bool) -> None:
    for number, event in enumerate(story.decisions, start=1):
        color = "#b01030" if event.kind in _BAD else "#404040"
        at = _at(event.recorded_at)
        axes.axvline(at, color=color, linestyle="--", linewidth=0.8)
        if is_numbered:
            axes.annotate(str(number), (at, WHOLE), color=color, fontsize="small", ha="center", va="bottom")
