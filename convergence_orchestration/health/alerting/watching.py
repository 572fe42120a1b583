"""One evaluation of all rules, from reading to telling.

What belongs here: the order of the steps, which is what makes it safe to kill: what was told before is read first, news is in the
table before anybody is told, and that somebody was told is written down at once. Decisions are evaluation.py and outbox.py.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.health.alerting.channels import LOG_NAME, Channel
from convergence_orchestration.health.alerting.delivery import SEND_SECONDS, Deliveries, Sent, send_all
from convergence_orchestration.health.alerting.evaluation import evaluate
from convergence_orchestration.health.alerting.history import fold
from convergence_orchestration.health.alerting.model import AlertEvent, Seen, Severity, Standing
from convergence_orchestration.health.alerting.outbox import outbox
from convergence_orchestration.health.alerting.rules import RuleBook
from convergence_orchestration.health.alerting.sources.looking import Source, look_at
from convergence_orchestration.health.alerting.store import AlertEvents
from convergence_orchestration.health.alerting.words import Notification
from convergence_orchestration.logs import logger

_BEAT_SECONDS = 5.0
_log = logger(__name__)

CHANNELS = "alert_channels"
"""The name under which channels that cannot be read are told: as a source, on the channels that are known."""


class KnownChannels:
    """The channels as they were read last, so that people hear of a Secret Manager that is down.

    Args:
        read: reads them; errors are those of `read_channels`.
        known: who is told when they were never read.
    """

    def __init__(self, read: Callable[[], tuple[Channel, ...]], known: tuple[Channel, ...]) -> None:
        self._read = read
        self.known = known

    def look(self) -> Seen:
        """Read them anew; raises what keeps them from being read, and `known` stays as it was."""
        self.known = self._read()
        return Seen()


@dataclass(frozen=True)
class Watch:
    """What an evaluation reads and writes.

    Attributes:
        environment: that of this code location, under which what is wrong with the alerts themselves is told.
        sources: what is looked at, at this time.
        clock: the time now, UTC.
        run_id: of the Dagster run that evaluates, if one does.
        send_seconds: the deadline of one message.
    """

    environment: str
    book: RuleBook
    store: AlertEvents
    channels: KnownChannels
    sources: Callable[[datetime], Sequence[Source]]
    clock: Callable[[], datetime]
    run_id: str | None = None
    send_seconds: float = SEND_SECONDS


@dataclass(frozen=True)
class Watched:
    """What an evaluation did: what it recorded, whom it told, and how alerts stand after it."""

    news: tuple[AlertEvent, ...]
    sent: tuple[Sent, ...]
    standing: Standing


def watch_once(watch: Watch) -> Watched:
    """Evaluate every rule now, record what is new and tell what is untold.

    Raises:
        ConvergenceError: the table of alerts cannot be read or written; NOT_BOOTSTRAPPED before the bootstrap. Nothing is lost:
            what was not recorded is found by the next evaluation, and what was not told is told then.
    """
    now = watch.clock()
    known = watch.store.remembered(now)
    sources = [Source(CHANNELS, watch.channels.look), *watch.sources(now)]
    seen = look_at(sources, watch.environment)
    news = [
        replace(event, run_id=watch.run_id) for event in evaluate(watch.book, seen, fold(known, now), now)
    ]
    watch.store.append(news)
    events = [*known, *news]
    deliveries = Deliveries(watch.book, watch.store.append, watch.clock, watch.send_seconds)
    sent = deliveries.deliver(outbox(events, watch.channels.known, watch.clock()))
    _beat(watch)
    return Watched(tuple(news), tuple(sent), fold(events, now))


def tell_blindness(
    channels: KnownChannels, environment: str, since: datetime, error: ConvergenceError
) -> bool:
    """Tell every channel that hears of what is critical that alerts cannot be evaluated; whether anybody but the log took it."""
    with suppress(ConvergenceError):
        channels.look()
    words = (
        f"Alerts have not been evaluated since {since:%Y-%m-%d %H:%M:%S} UTC, so none opens or resolves now. {error.message}\n"
        "What to do: docs/runbooks/source_unreadable.md"
    )
    title = f"[CRITICAL] alerts cannot be evaluated ({environment})"
    return _tell(channels.known, Notification(title, words, Severity.CRITICAL, is_over=False))


def tell_sight(channels: KnownChannels, environment: str, since: datetime) -> bool:
    """Tell those who were told of the contrary that alerts are evaluated again; whether anybody but the log took it."""
    title = f"[CRITICAL] alerts are evaluated again ({environment})"
    words = f"They were not from {since:%Y-%m-%d %H:%M:%S} UTC on; what is wrong now is told as usual."
    return _tell(channels.known, Notification(title, words, Severity.CRITICAL, is_over=True))


def _beat(watch: Watch) -> None:
    """Tell every dead man's switch that alerts are evaluated; it tells people when this stops, so a failure is logged alone."""
    switches = [channel for channel in watch.channels.known if channel.heartbeat]
    words = f"At {watch.clock():%Y-%m-%d %H:%M:%S} UTC. When this does not come for minutes, look at Dagster's daemon."
    title = f"[INFO] alerts are evaluated ({watch.environment})"
    said = Notification(title, words, Severity.INFO, is_over=False)
    whys = send_all([(switch, (), said) for switch in switches], min(watch.send_seconds, _BEAT_SECONDS))
    for switch, why in zip(switches, whys, strict=True):
        if why:
            _log.warning("A dead man's switch was not reached.", channel=switch.name, reason=why)


def _tell(channels: Sequence[Channel], said: Notification) -> bool:
    """With the log alone, that is enough."""
    hearing = [channel for channel in channels if channel.hears_of(said.severity)]
    whys = send_all([(channel, (), said) for channel in hearing])
    took = {channel.name for channel, why in zip(hearing, whys, strict=True) if not why}
    return bool(took - {LOG_NAME}) or len(hearing) == 1
