"""What the rollout may decide to do: one frozen dataclass for each, with verdict, words and numbers.

What belongs here: the actions and which event each is recorded as. The edge appends the event FIRST and acts then:
killed in between, the next look at the service finds that the change is not there and asks for it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from convergence_orchestration.releases.model import (
    NO_NUMBERS,
    EventKind,
    Numbers,
    Percent,
    RevisionName,
    TrafficTarget,
    Verdict,
)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What every action has.

    Attributes:
        verdict: of the judge; UNKNOWN where nothing was judged.
        reason: why, in words for a person.
        numbers: the evidence, JSON-serialisable.
    """

    reason: str
    verdict: Verdict = Verdict.UNKNOWN
    numbers: Numbers = NO_NUMBERS


@dataclass(frozen=True, kw_only=True)
class ShiftTraffic(Decision):
    """Ask Cloud Run for `targets` (update mask traffic, with the etag): TRAFFIC_ASKED.

    Attributes:
        percent: the candidate's share.
        stable: who gets the rest; None when there is no other revision.
        targets: the whole traffic, tags included; their percentages add up to 100.
    """

    revision: RevisionName
    stable: RevisionName | None
    percent: Percent
    targets: tuple[TrafficTarget, ...]
    etag: str


@dataclass(frozen=True, kw_only=True)
class RollBack(Decision):
    """Ask Cloud Run for `targets`, in which all traffic goes to `to`: ROLLED_BACK.

    A stale etag is no reason to stop: read again, decide again, at once.
    """

    revision: RevisionName
    to: RevisionName
    targets: tuple[TrafficTarget, ...]
    etag: str


@dataclass(frozen=True, kw_only=True)
class StageVerified(Decision):
    """Traffic is what was asked for and the clock of the stage starts: STAGE_VERIFIED."""

    revision: RevisionName
    percent: Percent


@dataclass(frozen=True, kw_only=True)
class Hold(Decision):
    """Undecided: wait, at most until `until`. HELD, when it is news (`is_news` of history.py).

    Attributes:
        because: the reason as one word, which stays the same while its numbers change.
        until: when a person is called.
    """

    because: str
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Pause(Decision):
    """A person is needed: PAUSED, or OUTSIDE_CHANGE, and an alert; when it is news (`is_news` of history.py)."""

    because: str
    alert: str
    outside_change: bool = False


@dataclass(frozen=True, kw_only=True)
class Finish(Decision):
    """The candidate is the stable revision: FINISHED."""

    revision: RevisionName


@dataclass(frozen=True, kw_only=True)
class Stop(Decision):
    """The release is over and the candidate is not stable: STOPPED."""

    revision: RevisionName


@dataclass(frozen=True, kw_only=True)
class Nothing(Decision):
    """Nothing to do now; recorded nowhere."""


type Action = ShiftTraffic | RollBack | StageVerified | Hold | Pause | Finish | Stop | Nothing


_KINDS: Mapping[type[Decision], EventKind] = MappingProxyType(
    {
        ShiftTraffic: EventKind.TRAFFIC_ASKED,
        RollBack: EventKind.ROLLED_BACK,
        StageVerified: EventKind.STAGE_VERIFIED,
        Hold: EventKind.HELD,
        Pause: EventKind.PAUSED,
        Finish: EventKind.FINISHED,
        Stop: EventKind.STOPPED,
    }
)


def event_kind(action: Action) -> EventKind | None:
    """What the action is recorded as; None: not at all."""
    if isinstance(action, Pause) and action.outside_change:
        return EventKind.OUTSIDE_CHANGE
    return _KINDS.get(type(action))
