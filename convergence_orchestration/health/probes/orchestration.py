"""Dagster's own side: heartbeats of its daemons, ticks that are overdue, runs that wait. Pure judgement.

What belongs here: what the facts mean. Reading them from Dagster's instance is `instance/resources.py`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from convergence_orchestration.health.model import Measure
from convergence_orchestration.health.probes.looking import Finding, healthy, unhealthy, unknown

HEARTBEAT_WITHIN = timedelta(seconds=120)
"""Daemons write one every 30 s."""
TICK_WITHIN = timedelta(seconds=60)
"""So much later than due may a tick come: a busy machine is no failure."""
QUEUE_WITHIN = timedelta(minutes=10)
"""So long may a run wait to be started."""
_CLOCKS_APART = timedelta(seconds=30)


@dataclass(frozen=True)
class Heartbeat:
    """What a daemon last said of itself; None: nothing ever. `errors` is how many its last rounds had."""

    daemon: str
    at: datetime | None
    errors: int = 0


@dataclass(frozen=True)
class Ticker:
    """A sensor or a schedule that ticks, or shall.

    Attributes:
        kind: `sensor` or `schedule`.
        due_at: when the first tick behind the last one was due, or will be; None if nothing of it is known.
        has_failed: whether its last tick did.
        is_off: whether somebody switched it off although the code says that it ticks from the start.
    """

    name: str
    kind: str
    due_at: datetime | None
    has_failed: bool = False
    is_off: bool = False

    @property
    def target(self) -> str:
        """By which it is known, for example `sensor:tenant_request_sensor`."""
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True)
class Queue:
    """Runs that wait to be started: how many, and since when the oldest does."""

    waiting: int
    oldest_at: datetime | None


@dataclass(frozen=True)
class Orchestration:
    """What is known of Dagster's side at one moment."""

    heartbeats: tuple[Heartbeat, ...]
    tickers: tuple[Ticker, ...]
    queue: Queue


def of_heartbeat(heartbeat: Heartbeat, now: datetime) -> Finding:
    """Whether the daemon is alive."""
    if heartbeat.at is None:
        return unhealthy("Start Dagster's daemon: this one was never seen.")
    age = now - heartbeat.at
    if age < -_CLOCKS_APART:
        return unknown(f"Set the clocks: its heartbeat is {-age.total_seconds():.0f} s in the future.")
    measured = {Measure.AGE_SECONDS: max(0.0, round(age.total_seconds(), 1))}
    if age > HEARTBEAT_WITHIN:
        return unhealthy(
            f"Start Dagster's daemon again: this one was last seen {age.total_seconds():.0f} s ago.", measured
        )
    if heartbeat.errors:
        return unhealthy(
            f"Look at the daemon's log: its last rounds had {heartbeat.errors} errors.", measured
        )
    return healthy(measured=measured)


def of_ticker(ticker: Ticker, now: datetime) -> Finding:
    """Whether it ticks when it shall, and whether its last tick succeeded."""
    if ticker.is_off:
        return unhealthy(f"Switch this {ticker.kind} on again in Dagster: somebody switched it off.")
    if ticker.due_at is None:
        return unknown(f"Nothing is known of the ticks of this {ticker.kind}.")
    late = max(timedelta(), now - ticker.due_at)
    measured = {Measure.LAG_SECONDS: round(late.total_seconds(), 1)}
    if late > TICK_WITHIN:
        words = f"Look whether Dagster's daemon runs: a tick is {late.total_seconds():.0f} s overdue."
        return unhealthy(words, measured)
    if ticker.has_failed:
        return unhealthy(f"Look at the {ticker.kind}'s last tick in Dagster: it failed.", measured)
    return healthy(measured=measured)


def of_queue(queue: Queue, now: datetime) -> Finding:
    """Whether runs are started in time."""
    age = max(timedelta(), now - queue.oldest_at) if queue.oldest_at is not None else timedelta()
    measured = {
        Measure.WAITING: float(queue.waiting),
        Measure.AGE_SECONDS: round(age.total_seconds(), 1),
    }
    if age > QUEUE_WITHIN:
        words = f"Look at Dagster's runs: one has waited {age.total_seconds():.0f} s to be started."
        return unhealthy(words, measured)
    return healthy(measured=measured)
