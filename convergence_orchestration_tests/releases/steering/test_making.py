from dataclasses import replace
from datetime import timedelta

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.releases.history import fold
from convergence_orchestration.releases.model import EventKind, ReleaseEvent, RevisionName
from convergence_orchestration.releases.steering.making import Hand, Place, hand_event
from convergence_orchestration_tests.releases.builders import NEW, NOON, OLD, V2

_PLACE = Place("staging", "api")
_HANDED_OVER = ReleaseEvent(
    "e1", V2, "staging", "api", EventKind.HANDED_OVER, NOON, revision=NEW, stable_revision=OLD
)
_PAUSED = replace(_HANDED_OVER, event_id="e2", kind=EventKind.PAUSED, recorded_at=NOON + timedelta(seconds=1))
_FINISHED = replace(_PAUSED, event_id="e3", kind=EventKind.FINISHED)
_LATER = NOON + timedelta(minutes=1)


def _made(hand: Hand, *events: ReleaseEvent) -> ReleaseEvent:
    return hand_event(replace(hand, actor="ana", run_id="run-1"), _PLACE, events, _LATER)


def _refused(hand: Hand, *events: ReleaseEvent) -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        _made(hand, *events)
    return caught.value


def test_a_pause_is_about_the_release_under_way_and_the_same_run_makes_the_same_event() -> None:
    event = _made(Hand(EventKind.PAUSED, "lunch"), _HANDED_OVER)

    assert (event.release_id, event.revision, event.actor, event.reason) == (V2, NEW, "ana", "lunch")
    assert event.event_id == _made(Hand(EventKind.PAUSED), _HANDED_OVER).event_id
    rollout = fold([_HANDED_OVER, event]).rollout
    assert rollout is not None
    assert rollout.waits == event


def test_a_promotion_may_name_its_stage() -> None:
    assert _made(Hand(EventKind.PROMOTE_NOW), _HANDED_OVER).traffic_percent is None
    assert _made(Hand(EventKind.PROMOTE_NOW, percent=50), _HANDED_OVER).traffic_percent == 50
    assert _refused(Hand(EventKind.PROMOTE_NOW, percent=101), _HANDED_OVER).details["field"] == "percent"
    assert _refused(Hand(EventKind.PROMOTE_NOW, percent=0), _HANDED_OVER).details["field"] == "percent"


def test_a_rollback_names_a_revision_of_the_service_or_nobody() -> None:
    assert _made(Hand(EventKind.ROLL_BACK_ASKED), _HANDED_OVER).revision is None
    assert _made(Hand(EventKind.ROLL_BACK_ASKED, revision="api-00001-old"), _HANDED_OVER).revision == OLD
    assert (
        _refused(Hand(EventKind.ROLL_BACK_ASKED, revision="other-1"), _HANDED_OVER).details["service"]
        == "api"
    )


def test_a_rollback_before_any_release_needs_a_revision() -> None:
    assert _refused(Hand(EventKind.ROLL_BACK_ASKED)).details == {"field": "revision"}
    event = _made(Hand(EventKind.ROLL_BACK_ASKED, revision="api-00001-old"))
    rollout = fold([event]).rollout
    assert rollout is not None
    assert rollout.go_back == event


def test_a_freeze_ends_after_it_starts_and_in_the_future() -> None:
    event = _made(Hand(EventKind.FROZEN, end="2026-12-01T00:00:00"), _HANDED_OVER)
    (window,) = fold([_HANDED_OVER, event]).freezes
    assert window.start == _LATER
    assert window.end.isoformat() == "2026-12-01T00:00:00+00:00"
    for start, end in (
        ("", "soon"),
        ("", ""),
        ("2026-12-02T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
    ):
        assert _refused(Hand(EventKind.FROZEN, start=start, end=end)).code is ErrorCode.INVALID_ARGUMENT
    lifted = replace(_made(Hand(EventKind.UNFROZEN), _HANDED_OVER), recorded_at=_LATER + timedelta(seconds=1))
    assert fold([_HANDED_OVER, event, lifted]).freezes == ()


@pytest.mark.parametrize(
    ("hand", "events", "code"),
    [
        (Hand(EventKind.PAUSED), (), ErrorCode.FAILED_PRECONDITION),
        (Hand(EventKind.PAUSED), (_HANDED_OVER, _FINISHED), ErrorCode.FAILED_PRECONDITION),
        (Hand(EventKind.PROMOTE_NOW), (_HANDED_OVER, _FINISHED), ErrorCode.FAILED_PRECONDITION),
        (Hand(EventKind.RESUMED), (_HANDED_OVER,), ErrorCode.FAILED_PRECONDITION),
        (Hand(EventKind.RESUMED), (_HANDED_OVER, _FINISHED), ErrorCode.FAILED_PRECONDITION),
        (Hand(EventKind.RETRIED), (), ErrorCode.FAILED_PRECONDITION),
        (Hand(EventKind.RETRIED), (_HANDED_OVER, _FINISHED), ErrorCode.FAILED_PRECONDITION),
        (Hand(EventKind.ABORTED), (), ErrorCode.FAILED_PRECONDITION),
        (Hand(EventKind.PAUSED, release="v9"), (_HANDED_OVER,), ErrorCode.NOT_FOUND),
        (Hand(EventKind.PAUSED, release="no such"), (_HANDED_OVER,), ErrorCode.INVALID_ARGUMENT),
        (Hand(EventKind.PAUSED, reason="x" * 501), (_HANDED_OVER,), ErrorCode.INVALID_ARGUMENT),
    ],
)
def test_what_makes_no_sense_is_refused(
    hand: Hand, events: tuple[ReleaseEvent, ...], code: ErrorCode
) -> None:
    assert _refused(hand, *events).code is code


@pytest.mark.parametrize("kind", [EventKind.PAUSED, EventKind.PROMOTE_NOW, EventKind.ABORTED])
def test_before_any_release_the_error_says_so_and_names_none(kind: EventKind) -> None:
    message = str(_refused(Hand(kind)))
    assert "by-hand" not in message
    assert "no release" in message


def test_a_waiting_release_may_be_resumed_and_a_finished_one_aborted() -> None:
    assert _made(Hand(EventKind.RESUMED), _HANDED_OVER, _PAUSED).release_id == V2
    assert _made(Hand(EventKind.ABORTED, release="v2"), _HANDED_OVER, _FINISHED).revision == RevisionName(NEW)
