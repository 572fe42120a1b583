from datetime import timedelta
from itertools import permutations

from convergence_orchestration.health.alerting.history import fold, in_order
from convergence_orchestration.health.alerting.model import AlertKind, Phase
from convergence_orchestration_tests.health.alerting.builders import (
    MINUTE,
    NOW,
    SUBJECT,
    Life,
    event,
    silenced,
)


def test_events_mean_the_same_in_any_order_and_however_often_they_were_stored() -> None:
    life = Life()
    life.see(11, 30, 5)
    expected = fold(life.events, life.now)
    for order in permutations(life.events):
        assert fold([*order, *order], life.now) == expected


def test_an_alert_is_known_by_any_of_its_later_events_alone() -> None:
    alerts = fold([event(AlertKind.REMINDED, NOW + MINUTE)], NOW + MINUTE).alerts
    assert alerts[SUBJECT].phase is Phase.OPEN
    assert alerts[SUBJECT].since == NOW
    assert fold([event(AlertKind.RECOVERING, NOW + MINUTE, streak=1)], NOW).alerts[SUBJECT].told_at is None


def test_of_two_evaluations_at_once_the_alert_that_was_opened_first_goes_on() -> None:
    first = event(AlertKind.OPENED, NOW)
    second = event(AlertKind.OPENED, NOW + timedelta(seconds=1), alert_id="another")
    late = [
        event(kind, NOW + timedelta(seconds=2), streak=1) for kind in (AlertKind.PENDING, AlertKind.CLEARED)
    ]
    assert fold([first, second, *late], NOW).alerts[SUBJECT].alert_id == first.alert_id


def test_a_silence_lasts_until_its_end_or_until_somebody_ends_it() -> None:
    silence = silenced(NOW + timedelta(hours=1))
    assert len(fold([silence], NOW).silences) == 1
    assert fold([silence], NOW + timedelta(hours=1)).silences == ()
    over = event(AlertKind.UNSILENCED, NOW + MINUTE, alert_id=silence.alert_id, event_id="over")
    assert fold([silence, over], NOW + MINUTE).silences == ()


def test_what_channels_were_told_changes_no_alert() -> None:
    opened = event()
    told = event(AlertKind.NOTIFIED, NOW + MINUTE, channel="team", about=opened.event_id)
    assert fold([opened, told], NOW) == fold([opened], NOW)


def test_of_an_event_that_was_stored_twice_the_first_counts() -> None:
    first, again = event(message="first"), event(message="again", at=NOW + MINUTE, event_id=event().event_id)
    assert [one.message for one in in_order([again, first])] == ["first"]


def test_only_resolutions_of_the_last_hour_are_remembered() -> None:
    life = Life()
    life.see(11, 5, 5)
    assert len(fold(life.events, life.now).resolved[SUBJECT]) == 1
    assert fold(life.events, life.now + timedelta(hours=2)).resolved == {}
