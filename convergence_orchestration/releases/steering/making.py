"""From what a person asks for to the event that says so.

What belongs here: the checks of each hand against what is known, before anything is written. What an event then does is decided
by rollout.py alone, which is why a hand beats the timer and survives a crash.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.releases.history import fold
from convergence_orchestration.releases.model import (
    NONE,
    EventKind,
    Numbers,
    Percent,
    ReleaseEvent,
    ReleaseId,
    RevisionName,
    parse_percent,
    parse_release_id,
    parse_revision_name,
)
from convergence_orchestration.releases.policy import FreezeWindow
from convergence_orchestration.releases.standing import History

_LONGEST_REASON = 500
_ALL = ReleaseId("all-releases")


@dataclass(frozen=True)
class Hand:
    """What a person asks for.

    Attributes:
        release: empty: the one that was handed over last.
        percent: PROMOTE_NOW: to which stage; None: the next one.
        revision: ROLL_BACK_ASKED: to which; empty: the stable one.
        start, end: FROZEN: ISO 8601; an empty start is now.
        actor: who.
        run_id: the first run that was launched for it: the same wish of the same run is one event.
    """

    kind: EventKind
    reason: str = ""
    release: str = ""
    percent: int | None = None
    revision: str = ""
    start: str = ""
    end: str = ""
    actor: str = ""
    run_id: str = ""


@dataclass(frozen=True)
class Place:
    """Where: one service of one environment."""

    environment: str
    service: str


def hand_event(hand: Hand, place: Place, events: Sequence[ReleaseEvent], now: datetime) -> ReleaseEvent:
    """The event to append.

    Raises:
        PermanentError: INVALID_ARGUMENT for what cannot be meant; NOT_FOUND for a release that is not known;
            FAILED_PRECONDITION for what makes no sense now.
    """
    if len(hand.reason) > _LONGEST_REASON:
        raise _wrong("reason", f"Shorten the reason to {_LONGEST_REASON} characters.")
    history = fold(events)
    release_id = _release(hand, history)
    _CHECKS.get(hand.kind, _must_be_under_way)(hand, history, release_id)
    revision = parse_revision_name(hand.revision, place.service) if hand.revision else None
    rollout = history.releases.get(release_id)
    return ReleaseEvent(
        event_id=str(uuid5(NAMESPACE_URL, f"{place.environment}/{place.service}/{hand.kind}/{hand.run_id}")),
        release_id=release_id,
        environment=place.environment,
        service=place.service,
        kind=hand.kind,
        recorded_at=now,
        revision=revision or _revision_of(hand, rollout.revision if rollout is not None else None),
        traffic_percent=_percent(hand),
        reason=hand.reason,
        evidence=_window(hand, now) if hand.kind is EventKind.FROZEN else {},
        actor=hand.actor,
        run_id=hand.run_id or None,
    )


def _release(hand: Hand, history: History) -> ReleaseId:
    if hand.kind in {EventKind.FROZEN, EventKind.UNFROZEN}:
        return _ALL
    if hand.release:
        wanted = parse_release_id(hand.release)
        if wanted not in history.releases:
            raise PermanentError(
                ErrorCode.NOT_FOUND,
                f"Name a release that was handed over: {wanted} was not.",
                {"field": "release"},
            )
        return wanted
    if history.rollout is not None:
        return history.rollout.release_id
    return ReleaseId("by-hand")


def _revision_of(hand: Hand, of_release: RevisionName | None) -> RevisionName | None:
    """A rollback that names nobody is to the stable revision; everything else is about the release's own."""
    return None if hand.kind is EventKind.ROLL_BACK_ASKED else of_release


def _percent(hand: Hand) -> Percent | None:
    if hand.kind is not EventKind.PROMOTE_NOW or hand.percent is None:
        return None
    percent = parse_percent(hand.percent)
    if percent == NONE:
        raise _wrong("percent", "Give a percentage from 1 to 100, or none for the next stage.")
    return percent


def _window(hand: Hand, now: datetime) -> Numbers:
    start, end = _moment("from", hand.start) if hand.start else now, _moment("until", hand.end)
    try:
        FreezeWindow(start, end)
    except PermanentError:
        raise _wrong("until", "Let the freeze end after it starts.") from None
    if end <= now:
        raise _wrong("until", "Let the freeze end in the future: it would change nothing.")
    return {"from": start.isoformat(), "until": end.isoformat()}


def _moment(field: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _wrong(field, f"Give {field} in ISO 8601, for example 2030-01-31T18:00:00Z.") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _must_be_under_way(_hand: Hand, history: History, release_id: ReleaseId) -> None:
    rollout = history.rollout
    if rollout is None:
        raise _senseless("Release something first, by the job `deploy_service`: no release is under way.")
    if rollout.release_id != release_id:
        raise _senseless(f"Name the release that is under way: {release_id} is not.")
    if rollout.ended is not None or rollout.returning:
        raise _senseless(f"Retry the release or make a new one: {release_id} is not under way any more.")


def _must_wait(hand: Hand, history: History, release_id: ReleaseId) -> None:
    rollout = history.rollout
    if rollout is None or rollout.release_id != release_id or rollout.ended is not None:
        _must_be_under_way(hand, history, release_id)
    if rollout is not None and rollout.waits is None:
        raise _senseless(f"There is nothing to resume: {release_id} does not wait for anybody.")


def _must_be_last(_hand: Hand, history: History, release_id: ReleaseId) -> None:
    rollout = history.rollout
    if rollout is None:
        raise _senseless("Roll back to a revision instead: no release was handed over yet.")
    if rollout.release_id != release_id:
        raise _senseless(f"Roll back to a revision instead: {release_id} is not the last release.")


def _must_be_unfinished(_hand: Hand, history: History, release_id: ReleaseId) -> None:
    known = history.releases.get(release_id)
    if known is None:
        raise _senseless("Name the release to retry: none was handed over yet.")
    if known.ended is EventKind.FINISHED:
        raise _senseless(f"Make a new release: {release_id} was finished, so there is nothing to retry.")


def _may_always(hand: Hand, history: History, _release_id: ReleaseId) -> None:
    if hand.kind is EventKind.ROLL_BACK_ASKED and history.rollout is None and not hand.revision:
        raise _wrong(
            "revision", "Name the revision to roll back to: no release is known that it could follow from."
        )


_CHECKS: dict[EventKind, Callable[[Hand, History, ReleaseId], None]] = {
    EventKind.ROLL_BACK_ASKED: _may_always,
    EventKind.FROZEN: _may_always,
    EventKind.UNFROZEN: _may_always,
    EventKind.ABORTED: _must_be_last,
    EventKind.RETRIED: _must_be_unfinished,
    EventKind.RESUMED: _must_wait,
}


def _senseless(words: str) -> PermanentError:
    return PermanentError(ErrorCode.FAILED_PRECONDITION, words)


def _wrong(field: str, words: str) -> PermanentError:
    return PermanentError(ErrorCode.INVALID_ARGUMENT, words, {"field": field})
