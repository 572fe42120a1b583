"""The event that an action is recorded as.

What belongs here: making the row; appending it is the edge's business.
"""

from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from convergence_orchestration.releases.actions import (
    Action,
    RollBack,
    ShiftTraffic,
    StageVerified,
    event_kind,
)
from convergence_orchestration.releases.model import NONE, Percent, ReleaseEvent, RevisionName
from convergence_orchestration.releases.standing import Rollout


def event_of(  # noqa: PLR0913 one argument for each column that only the edge knows
    action: Action,
    rollout: Rollout,
    *,
    environment: str,
    service: str,
    now: datetime,
    image: str | None = None,
    actor: str = "rollout",
    run_id: str | None = None,
) -> ReleaseEvent | None:
    """The event to append before the action is carried out; None for an action that leaves no trace.

    Its id follows from the release's last event and the action: two processes that decide the same append it once.
    """
    kind = event_kind(action)
    if kind is None:
        return None
    percent, stable = _traffic(action, rollout)
    name = "/".join((rollout.release_id, rollout.last_event_id, kind, str(percent), stable or ""))
    return ReleaseEvent(
        event_id=str(uuid5(NAMESPACE_URL, f"{environment}/{service}/{name}")),
        release_id=rollout.release_id,
        environment=environment,
        service=service,
        kind=kind,
        recorded_at=now,
        revision=rollout.revision,
        stable_revision=stable,
        image=image,
        traffic_percent=percent,
        verdict=action.verdict,
        reason=action.reason,
        evidence=action.numbers,
        actor=actor,
        run_id=run_id,
    )


def _traffic(action: Action, rollout: Rollout) -> tuple[Percent | None, RevisionName | None]:
    """The candidate's share after the event, and who has the rest."""
    if isinstance(action, ShiftTraffic):
        return action.percent, action.stable
    if isinstance(action, RollBack):
        return NONE, action.to
    if isinstance(action, StageVerified):
        return action.percent, rollout.stable
    return None, rollout.stable
