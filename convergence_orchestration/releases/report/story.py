"""The story of one release: its events, who had which traffic when, what was measured, who was harmed.

What belongs here: putting it together from events and measurements, purely; and how a state is called. Drawing is pictures.py,
the page page.py, reading writing.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from convergence_orchestration.releases.evidence import Measurement, RevisionEvidence
from convergence_orchestration.releases.model import (
    WHOLE,
    EventKind,
    Percent,
    ReleaseEvent,
    ReleaseId,
    RevisionName,
)
from convergence_orchestration.releases.policy import ServiceTargets
from convergence_orchestration.releases.report.harm import Harm, harm_of
from convergence_orchestration.releases.standing import Shares, split

type Measurements = Mapping[RevisionName, tuple[Measurement, ...]]

_MOVES = frozenset({EventKind.TRAFFIC_ASKED, EventKind.ROLLED_BACK})
DECISIONS = frozenset(
    {
        EventKind.HANDED_OVER,
        EventKind.TRAFFIC_ASKED,
        EventKind.STAGE_VERIFIED,
        EventKind.PAUSED,
        EventKind.ROLLED_BACK,
        EventKind.OUTSIDE_CHANGE,
        EventKind.FINISHED,
        EventKind.STOPPED,
        EventKind.RESUMED,
        EventKind.PROMOTE_NOW,
        EventKind.ABORTED,
        EventKind.RETRIED,
        EventKind.ROLL_BACK_ASKED,
    }
)
"""What is marked in the pictures."""
_STATES = {
    EventKind.FINISHED: "finished: it is the stable revision",
    EventKind.STOPPED: "stopped: it did not become the stable revision",
    EventKind.FAILED: "failed before it had traffic",
    EventKind.SUPERSEDED: "superseded by a newer release",
    EventKind.ROLLED_BACK: "being rolled back",
    EventKind.PAUSED: "paused: it waits for a person",
    EventKind.OUTSIDE_CHANGE: "waits for a person: somebody else moved the traffic",
}
_TELLING = frozenset(_STATES) | {EventKind.STAGE_VERIFIED, EventKind.TRAFFIC_ASKED, EventKind.HANDED_OVER}


@dataclass(frozen=True)
class Move:
    """From when on traffic was to be split in which way."""

    at: datetime
    shares: Shares


@dataclass(frozen=True)
class Figures:
    """What a revision answered in the time of the release; latencies in milliseconds."""

    revision: RevisionName
    requests: int
    errors: int
    given_up: int
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class Story:
    """One release from its order to now.

    Attributes:
        state: in words.
        began_at, ended_at: of the whole; the end is None while it is under way.
        was_measured: False when the meters could not be read: then nobody knows who was harmed.
        slow_ms: the latency that one in a hundred answers may exceed.
    """

    release_id: ReleaseId
    environment: str
    service: str
    state: str
    began_at: datetime
    ended_at: datetime | None
    revision: RevisionName | None
    stable: RevisionName | None
    image: str
    events: tuple[ReleaseEvent, ...]
    moves: tuple[Move, ...]
    measured: Measurements
    was_measured: bool
    slow_ms: float = ServiceTargets().p99_ms

    @property
    def figures(self) -> tuple[Figures, ...]:
        """Of the candidate and the stable revision."""
        return tuple(_figures(name, found) for name, found in self.measured.items())

    @property
    def harm(self) -> Harm:
        """What the candidate did to people."""
        return harm_of(self.events, self.revision, self.stable, self.measured, self.slow_ms)

    @property
    def decisions(self) -> tuple[ReleaseEvent, ...]:
        """What is marked in the pictures, in order."""
        return tuple(event for event in self.events if event.kind in DECISIONS)


def story_of(
    events: Iterable[ReleaseEvent],
    release_id: ReleaseId,
    measured: Measurements | None,
    targets: ServiceTargets | None = None,
) -> Story | None:
    """The story of one of the releases that the events are about, or None if they know nothing of it.

    Args:
        events: in order, of one service.
        release_id: which release.
        measured: of the candidate and the stable revision; None: could not be read.
        targets: what the service promises; None: the usual.
    """
    own = tuple(event for event in events if event.release_id == release_id)
    if not own:
        return None
    last = own[-1]
    revision = _last(event.revision for event in own if event.kind is not EventKind.ROLL_BACK_ASKED)
    return Story(
        release_id=release_id,
        environment=last.environment,
        service=last.service,
        state=state_of(own),
        began_at=own[0].recorded_at,
        ended_at=_ended_at(own),
        revision=revision,
        stable=_last(event.stable_revision for event in own if event.kind is not EventKind.ROLLED_BACK),
        image=_last(event.image for event in own) or "",
        events=own,
        moves=tuple(Move(event.recorded_at, _shares(event)) for event in own if event.kind in _MOVES),
        measured=measured or {},
        was_measured=measured is not None,
        slow_ms=(targets or ServiceTargets()).p99_ms,
    )


def state_of(events: Iterable[ReleaseEvent]) -> str:
    """How a release stands after its events, in words."""
    last = None
    for event in events:
        if event.kind in _TELLING or event.kind is EventKind.RESUMED:
            last = event
    if last is None or last.kind is EventKind.HANDED_OVER:
        return "being deployed" if last is None else "handed over to the rollout"
    if last.kind is EventKind.STAGE_VERIFIED:
        return f"bakes at {last.traffic_percent} %"
    if last.kind is EventKind.TRAFFIC_ASKED:
        return f"on its way to {last.traffic_percent} %"
    return _STATES.get(last.kind, "under way")


def span_of(
    events: Iterable[ReleaseEvent], release_id: ReleaseId, now: datetime
) -> tuple[datetime, datetime] | None:
    """From a little before the release had traffic until a little behind its end; None if it never had any."""
    own = tuple(event for event in events if event.release_id == release_id)
    first = next((event.recorded_at for event in own if event.kind in _MOVES), None)
    if first is None:
        return None
    ended = _ended_at(own) or now
    margin = max((ended - first) * 0.1, timedelta(seconds=10))
    return first - margin, min(ended + margin, now)


def _ended_at(own: tuple[ReleaseEvent, ...]) -> datetime | None:
    is_open = state_of(own) not in {
        _STATES[kind]
        for kind in (EventKind.FINISHED, EventKind.STOPPED, EventKind.FAILED, EventKind.SUPERSEDED)
    }
    ends = (event.recorded_at for event in reversed(own) if event.kind in _STATES)
    return None if is_open else next(ends, None)


def _shares(event: ReleaseEvent) -> Shares:
    if event.kind is EventKind.ROLLED_BACK:
        return {event.stable_revision: WHOLE} if event.stable_revision else {}
    percent = event.traffic_percent if event.traffic_percent is not None else Percent(0)
    return split(event.revision or RevisionName(""), event.stable_revision, percent)


def _figures(name: RevisionName, measured: tuple[Measurement, ...]) -> Figures:
    whole = RevisionEvidence(name, measured)
    latencies = whole.latencies
    p95, p99 = (latencies.quantile(one) if latencies else None for one in (0.95, 0.99))
    return Figures(name, whole.requests, whole.errors, whole.unanswered, p95, p99)


def _last[T](values: Iterable[T | None]) -> T | None:
    found = None
    for value in values:
        found = value or found
    return found
