"""When the report of a release that ended is written once more: what hung at its end is counted only when it ends.

What belongs here: the decision. That a run does it is sensors.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from convergence_orchestration.releases.history import fold
from convergence_orchestration.releases.model import ReleaseEvent, ReleaseId

AFTER = timedelta(minutes=6)
"""So long behind the end: by then what hung has met Cloud Run's timeout of 300 s, and the meters have it."""
_WITHIN = timedelta(minutes=30)


@dataclass(frozen=True)
class LateReport:
    """A release whose report is due again; `last` is the id of the event that ended it."""

    release_id: ReleaseId
    last: str


def late_report(events: Iterable[ReleaseEvent], until: datetime) -> LateReport | None:
    """The report that is due again, if one is, when the meters are complete until then."""
    rollout = fold(events).rollout
    if rollout is None or rollout.ended is None or rollout.asked is None:
        return None
    is_due = AFTER <= until - rollout.last_at < AFTER + _WITHIN
    return LateReport(rollout.release_id, rollout.last_event_id) if is_due else None
