"""What the events of a service say about now: the release under way, what is good, what is bad, what people want.

What belongs here: folding events, in the order in which they were recorded. No service, no evidence, no decision; an
event that makes no sense any more (a pause of a release that is over) changes nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.releases.actions import Action, Hold, Pause, event_kind
from convergence_orchestration.releases.model import (
    NONE,
    WHOLE,
    EventKind,
    Percent,
    ReleaseEvent,
    RevisionName,
    Verdict,
)
from convergence_orchestration.releases.policy import FreezeWindow
from convergence_orchestration.releases.standing import Asked, History, Rollout, Shares, split


def fold(events: Iterable[ReleaseEvent]) -> History:
    """What the events of one service in one environment say, whatever order they come in."""
    history = History()
    once = {event.event_id: event for event in events}
    for event in sorted(once.values(), key=lambda event: event.recorded_at):
        history = _fold_one(history, event)
    return history


def is_news(action: Action, history: History) -> bool:
    """Whether the action is to be recorded; holding or pausing for the same reason as before is not."""
    rollout = history.rollout
    if isinstance(action, Hold) and rollout is not None:
        return action.because != rollout.held_because
    if isinstance(action, Pause) and rollout is not None and rollout.waits is not None:
        return action.because != rollout.waits.evidence.get("because")
    return event_kind(action) is not None


def _fold_one(history: History, event: ReleaseEvent) -> History:
    anyway = _ANYWAY.get(event.kind)
    if anyway is not None:
        return anyway(history, event)
    rollout = history.rollout
    change = _CHANGES.get(event.kind)
    if change is None or rollout is None or rollout.release_id != event.release_id:
        return history
    changed = _after(change(rollout, event), event)
    return _with_standing(_with_rollout(history, changed), rollout, event)


def _with_standing(history: History, before: Rollout, event: ReleaseEvent) -> History:
    """`history` with who is good and who is bad after the event."""
    if event.kind is EventKind.ROLLED_BACK and event.verdict is Verdict.UNHEALTHY:
        good = {name: until for name, until in history.good.items() if name != before.revision}
        return replace(history, bad=history.bad | {before.revision}, good=good)
    if event.kind is EventKind.STOPPED and event.verdict is Verdict.UNHEALTHY:
        history = replace(history, bad=history.bad | {before.revision})
    now_stable = None
    if event.kind is EventKind.FINISHED:
        now_stable = before.heir if before.returning else before.revision
    elif event.kind is EventKind.STOPPED and before.returning:
        now_stable = before.heir
    if now_stable is None:
        return history
    good = {name: until or event.recorded_at for name, until in history.good.items() if name != now_stable}
    if before.stable is not None and before.stable not in history.bad | {now_stable}:
        good.setdefault(before.stable, event.recorded_at)
    return replace(history, good={**good, now_stable: None})


def _hand_over(history: History, event: ReleaseEvent) -> History:
    before = history.rollout
    if event.revision is None:
        return history
    known = history.releases.get(event.release_id)
    if known is not None and known.revision == event.revision:
        return history  # the job ran twice
    # mid-rollout the stable revision stays the same, whatever the job saw in a split
    heir = before.heir if before is not None else None
    stable = heir if before is not None and before.ended is None else event.stable_revision or heir
    return _with_rollout(history, _new_rollout(event, event.revision, stable))


def _retry(history: History, event: ReleaseEvent) -> History:
    known = history.releases.get(event.release_id)
    if known is None or known.ended is EventKind.FINISHED:
        return history
    before = history.rollout
    stable = before.heir if before is not None else None
    if stable == known.revision:
        stable = known.stable
    history = replace(history, bad=history.bad - {known.revision})
    return _with_rollout(history, _new_rollout(event, known.revision, stable))


def _roll_back(history: History, event: ReleaseEvent) -> History:
    """A wish that counts whichever release is under way, also when none ever was."""
    rollout = history.rollout
    if rollout is None and event.revision is not None:
        rollout = _new_rollout(event, event.revision, event.revision)
    if rollout is None:
        return history
    return _with_rollout(history, _after(replace(rollout, go_back=event), event))


def _freeze(history: History, event: ReleaseEvent) -> History:
    try:
        start = _moment(event.evidence.get("from") or event.recorded_at.isoformat())
        window = FreezeWindow(start, _moment(event.evidence.get("until")), event.reason)
    except (ValueError, PermanentError):
        return history  # whoever writes it checks it; one that slipped through must not stop every release
    return replace(history, freezes=(*history.freezes, window))


def _moment(text: object) -> datetime:
    moment = datetime.fromisoformat(str(text))
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _unfreeze(history: History, _event: ReleaseEvent) -> History:
    return replace(history, freezes=())


def _with_rollout(history: History, rollout: Rollout) -> History:
    releases = {**history.releases, rollout.release_id: rollout}
    return replace(history, rollout=rollout, releases=releases)


def _new_rollout(event: ReleaseEvent, revision: RevisionName, stable: RevisionName | None) -> Rollout:
    return Rollout(event.release_id, revision, stable, event.recorded_at, event.recorded_at, event.event_id)


def _after(rollout: Rollout, event: ReleaseEvent) -> Rollout:
    return replace(rollout, last_at=event.recorded_at, last_event_id=event.event_id)


def _traffic_asked(rollout: Rollout, event: ReleaseEvent) -> Rollout:
    percent = event.traffic_percent if event.traffic_percent is not None else WHOLE
    shares = split(rollout.revision, event.stable_revision, percent)
    asked = _asked(rollout, event, percent, shares)
    wish = rollout.promote_now
    if wish is not None and (wish.traffic_percent or percent) <= percent:
        wish = None
    # a pause stays: it may have come in between the decision and this event
    return replace(rollout, asked=asked, promote_now=wish, returning=False, held_because="", ended=None)


def _rolled_back(rollout: Rollout, event: ReleaseEvent) -> Rollout:
    to = event.stable_revision
    if to is None:
        return rollout
    wish = rollout.go_back
    if wish is not None and wish.event_id == event.evidence.get("answers"):
        wish = None
    asked = _asked(rollout, event, NONE, {to: WHOLE})
    # who was called because it does not arrive is not called again because it is asked for again
    waits = rollout.waits if asked.times > 1 else None
    return replace(
        rollout, asked=asked, go_back=wish, promote_now=None, waits=waits, returning=True, ended=None
    )


def _asked(rollout: Rollout, event: ReleaseEvent, percent: Percent, shares: Shares) -> Asked:
    last = rollout.asked
    again = last is not None and last.shares == shares and last.verified_at is None
    generation, before = _seen(event)
    return Asked(
        percent=percent,
        shares=shares,
        at=last.at if last is not None and again else event.recorded_at,
        generation=generation,
        before=before,
        times=last.times + 1 if last is not None and again else 1,
    )


def _seen(event: ReleaseEvent) -> tuple[int | None, Shares | None]:
    """The service's generation and shares that the asking was based on."""
    seen = event.evidence.get("service")
    if not isinstance(seen, Mapping) or not isinstance(seen.get("shares"), Mapping):
        return None, None
    shares = {RevisionName(str(name)): Percent(int(share)) for name, share in seen["shares"].items()}
    return int(seen.get("generation", 0)), shares


def _verified(rollout: Rollout, event: ReleaseEvent) -> Rollout:
    asked = rollout.asked
    if asked is None or asked.verified_at is not None or event.traffic_percent != asked.percent:
        return rollout
    return replace(rollout, asked=replace(asked, verified_at=event.recorded_at))


def _waits(rollout: Rollout, event: ReleaseEvent) -> Rollout:
    return rollout if rollout.ended else replace(rollout, waits=event)


def _resumed(rollout: Rollout, event: ReleaseEvent) -> Rollout:
    asked, waited = rollout.asked, rollout.waits
    if asked is not None and waited is not None and waited.kind is EventKind.OUTSIDE_CHANGE:
        asked = replace(asked, at=event.recorded_at, generation=None, before=None, verified_at=None, times=0)
    elif asked is not None and asked.verified_at is None:
        asked = replace(asked, at=event.recorded_at, times=0)
    return replace(rollout, waits=None, asked=asked, resumed_at=event.recorded_at, held_because="")


def _promote_now(rollout: Rollout, event: ReleaseEvent) -> Rollout:
    return replace(rollout, promote_now=event, waits=None) if rollout.is_under_way else rollout


def _aborted(rollout: Rollout, event: ReleaseEvent) -> Rollout:
    if rollout.returning or rollout.ended is EventKind.STOPPED:
        return rollout
    return replace(rollout, go_back=event)


def _held(rollout: Rollout, event: ReleaseEvent) -> Rollout:
    return replace(rollout, held_because=str(event.evidence.get("because", "")))


def _ended(rollout: Rollout, event: ReleaseEvent) -> Rollout:
    # a wish to go back stays: it may have come in between the decision and this event
    return replace(rollout, ended=event.kind, waits=None, promote_now=None)


_ANYWAY: Mapping[EventKind, Callable[[History, ReleaseEvent], History]] = MappingProxyType(
    {
        EventKind.HANDED_OVER: _hand_over,
        EventKind.RETRIED: _retry,
        EventKind.ROLL_BACK_ASKED: _roll_back,
        EventKind.FROZEN: _freeze,
        EventKind.UNFROZEN: _unfreeze,
    }
)
"""What counts whichever release is under way."""

_CHANGES: Mapping[EventKind, Callable[[Rollout, ReleaseEvent], Rollout]] = MappingProxyType(
    {
        EventKind.TRAFFIC_ASKED: _traffic_asked,
        EventKind.STAGE_VERIFIED: _verified,
        EventKind.HELD: _held,
        EventKind.PAUSED: _waits,
        EventKind.OUTSIDE_CHANGE: _waits,
        EventKind.ROLLED_BACK: _rolled_back,
        EventKind.FINISHED: _ended,
        EventKind.STOPPED: _ended,
        EventKind.RESUMED: _resumed,
        EventKind.PROMOTE_NOW: _promote_now,
        EventKind.ABORTED: _aborted,
    }
)
"""What counts for the release that is under way, and for no other."""
