"""The report of a day's levels of service: reading them, and one page of Markdown.

What belongs here: which windows are shown, and the page. The picture is `pictures.py`, what levels mean is `computing.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.health.levels.reading import LevelsReader, OverTime
from convergence_orchestration.health.levels.shown import COLUMNS, UNKNOWN, row_of
from convergence_orchestration.health.model import ProbeName, ProbeResult, ProbeStatus, ServiceLevels, Window

STEP = timedelta(minutes=15)
"""Of the pictures."""


@dataclass(frozen=True)
class DayReport:
    """A service's day.

    Attributes:
        levels: of the day and of the thirty days that end with it; the service's first, then its revisions'.
        over_time: None if it could not be read.
        probed: the share of rounds in which the service's own address was found alive; None: nobody looked.
    """

    day: date
    environment: str
    service: str
    levels: tuple[ServiceLevels, ...]
    over_time: OverTime | None
    probed: float | None

    @property
    def is_measured(self) -> bool:
        """Whether anything is known of the day."""
        return any(one.requests is not None for one in self.levels) or self.probed is not None


def end_of_day(day: date, now: datetime) -> datetime:
    """Midnight at its end; of a day that is not over, now."""
    midnight = datetime.combine(day + timedelta(days=1), time(), UTC)
    return min(midnight, now)


def report_on(reader: LevelsReader, day: date, now: datetime, checks: Iterable[ProbeResult]) -> DayReport:
    """The report of a day, of which `checks` are what the probes found."""
    # the meters' lateness is taken off again when they are read, so that a day that is over ends at midnight
    end = min(end_of_day(day, now) + reader.late, now)
    levels = [*reader.read(Window.DAY, end), *reader.read(Window.MONTH, end)[:1]]
    until = reader.end_of(Window.DAY, end)
    try:
        over_time = reader.over_time(until - timedelta(days=1), until, STEP)
    except ConvergenceError:
        over_time = None
    return DayReport(day, reader.environment, reader.service, tuple(levels), over_time, probed_share(checks))


def probed_share(checks: Iterable[ProbeResult]) -> float | None:
    """How often the service's own address was found alive, 0 to 1; unknown counts as not."""
    own = [one.status for one in checks if one.probe is ProbeName.API_LIVE and one.revision is None]
    return sum(status is ProbeStatus.HEALTHY for status in own) / len(own) if own else None


def markdown(report: DayReport, reader: LevelsReader, picture: str | None) -> str:
    """The page; `picture` is a data URI."""
    promised = reader.objectives
    probed = UNKNOWN if report.probed is None else f"{report.probed:.3%}"
    latency = f"P95 {promised.p95_ms:.0f} ms, P99 {promised.p99_ms:.0f} ms"
    lines = [
        f"# {report.service} ({report.environment}), {report.day}",
        "",
        f"Promised: availability {promised.availability:.1%}, {latency}, errors {promised.error_rate:.1%}.",
        f"Found alive by the probes: {probed}.",
        f"The day is the 24 hours up to {report.levels[0].end:%Y-%m-%d %H:%M} UTC.",
        "",
        *_table([row_of(one, promised) for one in report.levels]),
        *sorted({f"\n{one.why_unknown}" for one in report.levels if one.why_unknown}),
    ]
    if picture is not None:
        lines += ["", f"![requests, errors and latency of the day]({picture})"]
    return "\n".join(lines)


def _table(rows: Sequence[dict[str, str]]) -> list[str]:
    head = [f"| {' | '.join(COLUMNS)} |", f"| {' | '.join('---' for _ in COLUMNS)} |"]
    return [*head, *(f"| {' | '.join(row.values())} |" for row in rows)]
