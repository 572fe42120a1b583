"""Telling channels, each within a deadline, and writing down whom was told.

What belongs here: calling `apprise` and the log. Who is to be told of what is outbox.py. No URL ever leaves this module: apprise's
own log lines are switched off, and of its exceptions only the class is kept.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from convergence_orchestration.health.alerting.channels import Channel
from convergence_orchestration.health.alerting.model import AlertEvent, Severity
from convergence_orchestration.health.alerting.outbox import Mail, delivery_event
from convergence_orchestration.health.alerting.rules import RuleBook
from convergence_orchestration.health.alerting.words import Notification, log_fields, notification
from convergence_orchestration.logs import logger

SEND_SECONDS: Final = 10.0
"""A channel that has not taken a message by then counts as down; it may have taken it all the same, and hears it twice then."""

ROUNDS_SECONDS: Final = 20.0
"""After so long no further message is sent in one delivery: what is left is told by the next one."""

_LEVELS: Final = {
    Severity.INFO: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.CRITICAL: logging.CRITICAL,
}
_log = logger(__name__)

type _Due = tuple[Mail, tuple[AlertEvent, ...]]


@dataclass(frozen=True)
class Sent:
    """What became of one message; `why` is empty if it arrived."""

    channel: str
    events: tuple[AlertEvent, ...]
    why: str = ""


@dataclass
class Deliveries:
    """How messages go out; a test shortens the deadline.

    Attributes:
        record: appends what it is given to the table, or raises; then the messages of that round are told again later.
        clock: the time now, UTC.
        seconds: the deadline of one message.
    """

    book: RuleBook
    record: Callable[[Sequence[AlertEvent]], None]
    clock: Callable[[], datetime]
    seconds: float = SEND_SECONDS
    _over: set[str] = field(default_factory=set)

    def deliver(self, mails: Sequence[Mail]) -> list[Sent]:
        """Tell every channel its events in their order, all channels at the same time; one that fails is left alone."""
        sent: list[Sent] = []
        until = time.monotonic() + ROUNDS_SECONDS
        for turn in _turns(mails):
            due = [(mail, events) for mail, events in turn if mail.channel.name not in self._over]
            if not due or time.monotonic() >= until:
                break
            sent.extend(self._round(due))
        return sent

    def _round(self, due: "Sequence[_Due]") -> list[Sent]:
        whys = send_all(
            [(mail.channel, events, notification(events, self.book)) for mail, events in due], self.seconds
        )
        sent, rows = [], []
        for (mail, events), why in zip(due, whys, strict=True):
            name, now = mail.channel.name, self.clock()
            failures = mail.failures + 1 if why else 0
            sent.append(Sent(name, events, why))
            rows += [delivery_event(event, name, now, failures, why) for event in events]
            if why:
                self._over.add(name)
        self.record(rows)
        return sent


def _turns(mails: Sequence[Mail]) -> "Iterator[list[_Due]]":
    """The first message of each channel, then the second, and so on."""
    for turn in zip_longest(*([(mail, events) for events in mail.messages] for mail in mails)):
        yield [due for due in turn if due is not None]


def send_all(
    messages: Sequence[tuple[Channel, Sequence[AlertEvent], Notification]], seconds: float = SEND_SECONDS
) -> list[str]:
    """Send all messages at the same time: of each why it did not arrive, empty if it did."""
    answers: list[SimpleQueue[str]] = [SimpleQueue() for _ in messages]
    until = time.monotonic() + seconds
    for message, answer in zip(messages, answers, strict=True):
        # a daemon: a channel that never answers must not keep this process from ending
        Thread(target=lambda m=message, a=answer: a.put(_send(*m)), daemon=True).start()
    return [_answer(each, until - time.monotonic(), seconds) for each in answers]


def _answer(answer: "SimpleQueue[str]", left: float, seconds: float) -> str:
    try:
        return answer.get(timeout=max(left, 0.0))
    except Empty:
        return f"It did not take the message within {seconds:g} s."


def _send(channel: Channel, events: Sequence[AlertEvent], said: Notification) -> str:
    """Send one message; why it did not arrive, empty if it did. It raises nothing. The log has a line for each event."""
    if channel.url is None:
        for fields in map(log_fields, events) if events else [{"detail": said.body}]:
            _log.log(_LEVELS[said.severity], said.title, **fields)
        return ""
    try:
        return _by_apprise(channel.url.get_secret_value(), said)
    except Exception as error:  # noqa: BLE001 a plugin may raise anything, and its words may hold the URL
        return f"apprise failed with {type(error).__name__}."


def _by_apprise(url: str, said: Notification) -> str:
    import apprise  # noqa: PLC0415 dear, and wanted only where somebody is told

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    plugin = apprise.Apprise.instantiate(url, asset=apprise.AppriseAsset(app_id="Convergence"))
    if plugin is None:
        return "apprise does not know this kind of URL, or it lacks a part."
    arrived = plugin.notify(
        title=said.title,
        body=said.body,
        notify_type=_kind(said),
        body_format=apprise.NotifyFormat.TEXT,
    )
    return "" if arrived else "It refused the message, or could not be reached."


def _kind(said: Notification) -> "str":
    import apprise  # noqa: PLC0415 as above

    if said.is_over:
        return apprise.NotifyType.SUCCESS
    return {
        Severity.INFO: apprise.NotifyType.INFO,
        Severity.WARNING: apprise.NotifyType.WARNING,
        Severity.CRITICAL: apprise.NotifyType.FAILURE,
    }[said.severity]
