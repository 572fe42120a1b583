"""Whole evaluations over a real BigQuery and a real webhook; what is seen is given, the clock is a parameter."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from pydantic import SecretStr

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.health.alerting.channels import LOG_CHANNEL, Channel
from convergence_orchestration.health.alerting.model import AlertEvent, Observation, Seen
from convergence_orchestration.health.alerting.rules import rule_book
from convergence_orchestration.health.alerting.sources.looking import Source
from convergence_orchestration.health.alerting.store import AlertEvents
from convergence_orchestration.health.alerting.watching import (
    KnownChannels,
    Watch,
    tell_blindness,
    tell_sight,
    watch_once,
)
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.emulators import free_port
from convergence_orchestration_tests.health.alerting.builders import (
    MINUTE,
    NOW,
    WHERE,
    book,
    kinds,
    saw,
    silenced,
)
from convergence_orchestration_tests.health.alerting.receiver import Receiver, receiving
from convergence_orchestration_tests.warehouse.builders import with_tables

DOWN = TransientError(ErrorCode.UNAVAILABLE, "Secret Manager is down.")


class Platform:
    """What is seen, who is told, and a clock that goes on by a minute with each evaluation."""

    def __init__(self, bigquery: BigQuery, url: str) -> None:
        self.store = AlertEvents(bigquery)
        self.seen: tuple[Observation, ...] = ()
        self.now = NOW
        self.channels = (LOG_CHANNEL, Channel("team", SecretStr(url)))
        self.known = KnownChannels(self.read_channels, (LOG_CHANNEL,))
        self.trouble: Exception | None = None
        unreadable = rule_book().rule("source_unreadable")
        assert unreadable is not None
        self.watch = Watch(
            WHERE,
            book(*book().rules, unreadable),
            self.store,
            self.known,
            self.sources,
            lambda: self.now,
        )

    def read_channels(self) -> tuple[Channel, ...]:
        if self.trouble is not None:
            raise self.trouble
        return self.channels

    def sources(self, _now: datetime) -> list[Source]:
        return [Source("given", lambda: Seen(self.seen))]

    def evaluate(self, *seen: float | None, after: timedelta = MINUTE) -> list[str]:
        """One evaluation of these values of the one thing that is looked at."""
        self.now += after
        self.seen = tuple(saw(value) for value in seen)
        return kinds(watch_once(self.watch).news)


class Killed(AlertEvents):
    """Dies between telling and writing it down, as often as it is told to."""

    def __init__(self, bigquery: BigQuery, times: int) -> None:
        super().__init__(bigquery)
        self.times = times

    def append(self, events: "list[AlertEvent] | tuple[AlertEvent, ...]") -> None:  # type: ignore[override]
        if self.times and any(one.channel for one in events):
            self.times -= 1
            raise KeyboardInterrupt
        super().append(events)


@pytest.fixture
def bigquery(settings: Settings) -> BigQuery:
    return with_tables(settings, "alerts")


@pytest.fixture
def webhook() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def words(receiver: Receiver) -> list[str]:
    return [title.split(":")[0].split(" ", 1)[1] for title in receiver.titles]


def test_an_alert_is_recorded_and_told_from_its_opening_to_its_end(
    bigquery: BigQuery, webhook: Receiver
) -> None:
    platform = Platform(bigquery, webhook.url)
    assert platform.evaluate(5) == []
    assert platform.evaluate(11) == ["OPENED"]
    assert platform.evaluate(30) == ["UPDATED"]
    assert platform.evaluate(5) == ["RECOVERING"]
    assert platform.evaluate(5) == ["RESOLVED"]
    assert platform.evaluate(5) == []
    assert words(webhook) == ["too_many opened", "too_many got worse", "too_many resolved"]
    recorded = platform.store.remembered(platform.now)
    assert kinds(recorded).count("NOTIFIED") == 6  # each of three events to the log and to the team


def test_nothing_is_lost_while_a_channel_is_down(bigquery: BigQuery) -> None:
    port = free_port()
    platform = Platform(bigquery, f"json://127.0.0.1:{port}")
    platform.evaluate(11)
    platform.evaluate(5)
    assert platform.evaluate(5) == ["RESOLVED"]
    with receiving(port) as webhook:
        platform.evaluate(5, after=timedelta(hours=1))
        assert words(webhook) == ["too_many opened", "too_many resolved"]
        platform.evaluate(5)
        assert len(webhook.told) == 2


def test_a_dead_mans_switch_hears_of_every_evaluation_and_of_nothing_else(bigquery: BigQuery) -> None:
    with receiving() as switch:
        platform = Platform(bigquery, "json://127.0.0.1:9")
        platform.channels = (LOG_CHANNEL, Channel("switch", SecretStr(switch.url), heartbeat=True))
        platform.evaluate(11)
        platform.evaluate(5)
        switch.is_down = True
        platform.evaluate(5)
        switch.is_down = False
        assert tell_blindness(platform.known, WHERE, NOW, DOWN), "the log is enough"
        platform.evaluate(5)
    assert [title.split("]")[1] for title in switch.titles] == [f" alerts are evaluated ({WHERE})"] * 3
    assert {one.channel for one in platform.store.remembered(platform.now) if one.channel} == {"log"}


def test_who_is_killed_between_telling_and_writing_it_down_tells_it_again(
    bigquery: BigQuery, webhook: Receiver
) -> None:
    platform = Platform(bigquery, webhook.url)
    killed = replace(platform.watch, store=Killed(bigquery, 1))
    platform.seen, platform.now = (saw(11),), NOW + MINUTE
    with pytest.raises(KeyboardInterrupt):
        watch_once(killed)
    platform.evaluate(11)
    platform.evaluate(11)
    assert words(webhook) == ["too_many opened", "too_many opened"]
    assert kinds(platform.store.remembered(platform.now)).count("OPENED") == 1


def test_a_silence_is_kept_and_its_end_is_noticed(bigquery: BigQuery, webhook: Receiver) -> None:
    platform = Platform(bigquery, webhook.url)
    platform.store.append([silenced(NOW + 2 * MINUTE)])
    platform.evaluate(11)
    assert webhook.told == []
    platform.evaluate(11)
    assert words(webhook) == ["too_many still open"]


def test_those_who_were_known_hear_that_the_channels_cannot_be_read(
    bigquery: BigQuery, webhook: Receiver
) -> None:
    platform = Platform(bigquery, webhook.url)
    platform.evaluate(5)
    platform.trouble = DOWN
    for _ in range(3):
        platform.evaluate(5)
    assert words(webhook) == ["source_unreadable opened"]
    assert "Secret Manager is down." in webhook.told[0]["message"]


def test_that_alerts_cannot_be_evaluated_is_told_without_a_table(webhook: Receiver) -> None:
    known = KnownChannels(lambda: (LOG_CHANNEL, Channel("team", SecretStr(webhook.url))), (LOG_CHANNEL,))
    error = PermanentError(ErrorCode.PERMISSION_DENIED, "Grant the role.")
    assert tell_blindness(known, WHERE, NOW, error)
    assert tell_sight(known, WHERE, NOW)
    assert webhook.titles == [
        "[CRITICAL] alerts cannot be evaluated (production)",
        "[CRITICAL] alerts are evaluated again (production)",
    ]
    assert "Grant the role." in webhook.told[0]["message"]
    webhook.is_down = True
    assert not tell_blindness(known, WHERE, NOW, error)
    assert tell_blindness(KnownChannels(lambda: (LOG_CHANNEL,), ()), WHERE, NOW, error)
