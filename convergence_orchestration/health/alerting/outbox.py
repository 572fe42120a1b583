"""What is still to be told, and to whom: pure, over the events of the last weeks.

What belongs here: the difference between what happened and what channels were told. An event is in the table before it is told,
and that a channel was told is written down behind it: a crash in between tells it twice, and never not at all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from convergence_orchestration.health.alerting.channels import Channel
from convergence_orchestration.health.alerting.history import in_order
from convergence_orchestration.health.alerting.model import (
    TOLD_KINDS,
    AlertEvent,
    AlertKind,
    event_id_of,
)

KEPT = timedelta(days=7)
"""So long a channel that is down is tried for an event; after that somebody has to read the list of alerts."""

NEWCOMERS_HEAR = timedelta(days=1)
"""Of what happened earlier a channel that never tried to hear of it is told nothing: it was added since."""

FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)

OBSTINATE = 5
"""An event that a channel failed to take so often lets the others pass: it may be the event that it cannot take."""


@dataclass(frozen=True)
class Mail:
    """What one channel is to be told now, in this order; after the first failure the rest waits.

    Attributes:
        failures: how many attempts in a row failed until now.
    """

    channel: Channel
    events: tuple[AlertEvent, ...]
    failures: int

    @property
    def messages(self) -> tuple[tuple[AlertEvent, ...], ...]:
        """The events as they are told: what one evaluation found of one rule, again and again, is one message."""
        return tuple(tuple(group) for _, group in groupby(self.events, key=_news))


def _news(event: AlertEvent) -> tuple[str, str, str, datetime]:
    return event.about_subject.rule, event.about_subject.environment, event.kind, event.recorded_at


def outbox(events: Iterable[AlertEvent], channels: Iterable[Channel], now: datetime) -> list[Mail]:
    """What each channel is to be told now; a channel that failed a moment ago is left alone until its pause is over."""
    ordered = in_order(events)
    told = [
        event
        for event in ordered
        if event.kind in TOLD_KINDS and event.silenced_until is None and now - event.recorded_at <= KEPT
    ]
    found = (_mail_for(channel, told, ordered, now) for channel in channels)
    return [mail for mail in found if mail is not None]


def _mail_for(
    channel: Channel, told: Sequence[AlertEvent], ordered: Sequence[AlertEvent], now: datetime
) -> Mail | None:
    own = [event for event in ordered if event.channel == channel.name]
    last = own[-1] if own else None
    failures = last.streak if last is not None and last.kind is AlertKind.UNDELIVERED else 0
    if last is not None and failures and now < last.recorded_at + pause_after(failures):
        return None
    arrived = {event.about for event in own if event.kind is AlertKind.NOTIFIED}
    failed = [event.about for event in own if event.kind is AlertKind.UNDELIVERED]
    due = [
        event
        for event in told
        if event.event_id not in arrived
        and channel.hears(event)
        and (event.event_id in failed or now - event.recorded_at <= NEWCOMERS_HEAR)
    ]
    # what is of one evaluation is in the order of its rules, so that it can be told together
    due.sort(
        key=lambda event: (failed.count(event.event_id) >= OBSTINATE, event.recorded_at, *_news(event)[:3])
    )
    return Mail(channel, tuple(due), failures) if due else None


def pause_after(failures: int) -> timedelta:
    """How long a channel is left alone after so many failures in a row, at least one: doubled each time."""
    return min(FIRST_PAUSE * (1 << min(failures - 1, 10)), LONGEST_PAUSE)


def delivery_event(
    about: AlertEvent, channel: str, now: datetime, failures: int = 0, why: str = ""
) -> AlertEvent:
    """That `channel` was told of `about`; or, with the number of failures in a row, that it was not, and why."""
    kind = AlertKind.UNDELIVERED if failures else AlertKind.NOTIFIED
    return AlertEvent(
        event_id=event_id_of(about.alert_id, kind, about.event_id, channel, now.isoformat()),
        alert_id=about.alert_id,
        kind=kind,
        about_subject=about.about_subject,
        severity=about.severity,
        recorded_at=now,
        message=why,
        streak=failures,
        channel=channel,
        about=about.event_id,
    )
