"""Making a release's report: reading what it tells, and its page as a file.

What belongs here: the reading. The numbers of a release that is older than the meters reach are missing, and it says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.monitoring import Monitoring
from convergence_orchestration.releases.model import ReleaseEvent, ReleaseId, RevisionName
from convergence_orchestration.releases.report.page import html, markdown
from convergence_orchestration.releases.report.pictures import timeline
from convergence_orchestration.releases.report.story import Measurements, Story, span_of, story_of
from convergence_orchestration.releases.traffic.meters import Meters, measurement_of
from convergence_orchestration.releases.traffic.scene import Scene

_MOST_POINTS = 200
_STEPS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_FINE_FOR = timedelta(hours=1)


@dataclass(frozen=True)
class Report:
    """A release's story on one page, in both forms."""

    story: Story
    html: str
    markdown: str


def report_on(scene: Scene, release_id: ReleaseId, events: Sequence[ReleaseEvent] | None = None) -> Report:
    """The report of a release as it stands now.

    Raises:
        PermanentError: NOT_FOUND if nothing is known of it.
        ConvergenceError: from the log of events.
    """
    known = list(events) if events is not None else scene.read_events()
    bare = story_of(known, release_id, None)
    if bare is None:
        raise PermanentError(
            ErrorCode.NOT_FOUND,
            f"Name a release of {scene.service} in {scene.environment}: {release_id} is none. `convergence release list` shows "
            "them.",
            {"field": "release"},
        )
    now = scene.clock()
    span = span_of(known, release_id, now)
    names = [name for name in (bare.revision, bare.stable) if name is not None]
    measured = _measured(scene.meters, names, span, now) if span is not None else {}
    story = story_of(known, release_id, measured, scene.policy.targets) or bare
    picture = timeline(story)
    return Report(story, html(story, picture), markdown(story, picture))


def write(report: Report, directory: Path) -> Path:
    """The page as `ENVIRONMENT/RELEASE.html` in the directory, put there at one stroke."""
    path = directory / report.story.environment / f"{report.story.release_id}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_text(report.html, encoding="utf-8")
    unfinished.replace(path)
    return path


def step_for(span: tuple[datetime, datetime], finest: timedelta, now: datetime) -> timedelta:
    """The step in which a span is drawn: so many points that a picture shows, never finer than the meters still know."""
    start, end = span
    least = finest if now - start < _FINE_FOR else max(finest, timedelta(minutes=1))
    fitting = (timedelta(seconds=seconds) for seconds in _STEPS)
    return next(
        (step for step in fitting if step >= least and (end - start) / step <= _MOST_POINTS),
        timedelta(seconds=_STEPS[-1]),
    )


def _measured(
    meters: Meters, names: Sequence[RevisionName], span: tuple[datetime, datetime], now: datetime
) -> Measurements | None:
    step = step_for(span, meters.step, now)
    monitoring: Monitoring = meters.monitoring
    try:
        found = monitoring.read(meters.service, span[0], span[1], step)
    except TransientError:
        return None
    known = {name: found.of(name) for name in names}
    return {
        name: tuple(measurement_of(one) for one in steps)
        for name, steps in known.items()
        if steps is not None
    }
