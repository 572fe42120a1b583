from datetime import timedelta

from convergence_orchestration.health.alerting.channels import LOG_CHANNEL, Channel
from convergence_orchestration.health.alerting.model import AlertEvent, AlertKind, Severity, Subject
from convergence_orchestration.health.alerting.outbox import delivery_event, outbox, pause_after
from convergence_orchestration.settings import Environment
from convergence_orchestration_tests.health.alerting.builders import MINUTE, NOW, event

TEAM = Channel("team", url="json://nobody")  # type: ignore[arg-type]
OPENED = event()
RESOLVED = event(AlertKind.RESOLVED, NOW + MINUTE)


def due(events: list[AlertEvent], channel: Channel = TEAM, after: timedelta = MINUTE) -> list[str]:
    return [one.kind.value for mail in outbox(events, [channel], NOW + after) for one in mail.events]


def failed(about: AlertEvent, times: int, after: timedelta) -> AlertEvent:
    return delivery_event(about, "team", NOW + after, times, "It was down.")


def test_each_channel_is_told_each_event_until_it_is_written_down_that_it_was() -> None:
    events = [OPENED, RESOLVED, delivery_event(OPENED, "team", NOW)]
    assert due(events) == ["RESOLVED"]
    assert due(events, LOG_CHANNEL) == ["OPENED", "RESOLVED"]
    assert due([*events, delivery_event(RESOLVED, "team", NOW + MINUTE)]) == []


def test_what_is_pending_or_silenced_is_told_to_nobody() -> None:
    silent = event(silenced_until=NOW + MINUTE)
    others = [
        event(kind)
        for kind in (AlertKind.PENDING, AlertKind.RECOVERING, AlertKind.RELAPSED, AlertKind.SILENCED)
    ]
    assert due([silent, *others]) == []


def test_a_channel_hears_of_the_severities_and_environments_that_it_names() -> None:
    assert due([OPENED], Channel("night", None, frozenset({Severity.CRITICAL}))) == ["OPENED"]
    assert due([OPENED], Channel("day", None, frozenset({Severity.INFO, Severity.WARNING}))) == []
    staging = Channel("staging", None, environments=frozenset({Environment.STAGING}))
    assert due([OPENED], staging) == []
    assert due([event(about_subject=Subject("too_many", "staging", "thing"))], staging) == ["OPENED"]


def test_a_channel_that_failed_is_left_alone_ever_longer_and_then_told_everything_in_order() -> None:
    events = [OPENED, RESOLVED, failed(OPENED, 3, MINUTE)]
    assert due(events, after=4 * MINUTE) == []
    assert due(events, after=5 * MINUTE) == ["OPENED", "RESOLVED"]
    (mail,) = outbox(events, [TEAM], NOW + 5 * MINUTE)
    assert mail.failures == 3
    assert [pause_after(n) / MINUTE for n in (1, 2, 3, 7, 1000)] == [1, 2, 4, 60, 60]


def test_one_channel_that_is_down_keeps_no_other_from_being_told() -> None:
    events = [OPENED, failed(OPENED, 1, timedelta())]
    assert due(events, after=timedelta(seconds=10)) == []
    assert due(events, Channel("other"), after=timedelta(seconds=10)) == ["OPENED"]


def test_an_event_that_a_channel_cannot_take_lets_the_others_pass() -> None:
    tries = [failed(OPENED, n, n * timedelta(hours=1)) for n in range(1, 6)]
    assert due([OPENED, RESOLVED, *tries[:4]], after=timedelta(hours=6)) == ["OPENED", "RESOLVED"]
    assert due([OPENED, RESOLVED, *tries], after=timedelta(hours=7)) == ["RESOLVED", "OPENED"]


def test_a_channel_that_was_down_is_told_for_a_week_and_a_new_one_of_the_last_day() -> None:
    tried = failed(OPENED, 1, MINUTE)
    assert due([OPENED, tried], after=timedelta(days=6)) == ["OPENED"]
    assert due([OPENED, tried], after=timedelta(days=8)) == []
    assert due([OPENED], after=timedelta(hours=23)) == ["OPENED"]
    assert due([OPENED], after=timedelta(days=2)) == []
