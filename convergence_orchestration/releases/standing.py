"""Where a release and its service stand: what the events say, folded.

What belongs here: the folded state, frozen. How it follows from the events is in history.py, what is done about it in
rollout.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from convergence_orchestration.releases.model import (
    WHOLE,
    EventKind,
    Percent,
    ReleaseEvent,
    ReleaseId,
    RevisionName,
)
from convergence_orchestration.releases.policy import FreezeWindow

type Shares = Mapping[RevisionName, Percent]


@dataclass(frozen=True)
class Asked:
    """Traffic that was asked for last, or was about to be when something broke.

    Attributes:
        percent: the candidate's share.
        shares: of every revision.
        at: since when.
        generation, before: the service's generation and shares just before; a service that still shows them was never
            asked. None: whatever the service shows, ask again.
        times: how often it was asked for in a row.
        verified_at: when it was seen to be so; the clock of the stage.
    """

    percent: Percent
    shares: Shares
    at: datetime
    generation: int | None = None
    before: Shares | None = None
    times: int = 1
    verified_at: datetime | None = None


@dataclass(frozen=True)
class Rollout:
    """One release on its way.

    Attributes:
        stable: who has the rest of the traffic; None for the first revision that there ever was.
        last_at, last_event_id: of the last event that counted.
        asked: None: no traffic was touched yet.
        returning: whether `asked` gives everything to another revision.
        waits: the pause, or the change from outside, that stops it until a person says so.
        promote_now: a person's wish that was not carried out yet.
        go_back: likewise, ABORTED or ROLL_BACK_ASKED.
        resumed_at: deadlines before it do not count.
        held_because: the last recorded reason for holding.
        ended: FINISHED or STOPPED.
    """

    release_id: ReleaseId
    revision: RevisionName
    stable: RevisionName | None
    handed_over_at: datetime
    last_at: datetime
    last_event_id: str
    asked: Asked | None = None
    returning: bool = False
    waits: ReleaseEvent | None = None
    promote_now: ReleaseEvent | None = None
    go_back: ReleaseEvent | None = None
    resumed_at: datetime | None = None
    held_because: str = ""
    ended: EventKind | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether it still wants its share of the traffic."""
        return self.ended is None and not self.returning

    @property
    def heir(self) -> RevisionName | None:
        """Who has everything when this release is out of the way."""
        if self.ended is EventKind.FINISHED:
            return self.revision
        return next(iter(self.asked.shares)) if self.returning and self.asked else self.stable


@dataclass(frozen=True)
class History:
    """Everything that the events of one service say.

    Attributes:
        rollout: of the release that was handed over (or retried) last.
        bad: revisions that were judged unhealthy and not forgiven since.
        good: revisions that were stable once, with when they ceased to be; None: is stable now. Oldest first.
        freezes: those by hand that were not lifted.
        releases: the last rollout of each earlier release.
    """

    rollout: Rollout | None = None
    bad: frozenset[RevisionName] = frozenset()
    good: Mapping[RevisionName, datetime | None] = field(default_factory=dict)
    freezes: tuple[FreezeWindow, ...] = ()
    releases: Mapping[ReleaseId, Rollout] = field(default_factory=dict)


def split(revision: RevisionName, stable: RevisionName | None, percent: Percent) -> Shares:
    """The shares when `revision` gets `percent` and `stable` the rest."""
    if stable is None or stable == revision:
        return {revision: WHOLE}
    shares = {revision: percent, stable: Percent(WHOLE - percent)}
    return {name: share for name, share in shares.items() if share}
