"""What alerts are made of: what was observed, what happened to an alert, and how one stands.

What belongs here: names, frozen dataclasses and ids, without I/O. When an alert opens and resolves is evaluation.py, what its
events say about now is history.py, who is told is outbox.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

ANY = "*"
"""In a silence: every rule, every subject."""

_ID_CHARACTERS = 32


class Severity(StrEnum):
    """How urgent it is."""

    INFO = "INFO"
    """Somebody should know."""
    WARNING = "WARNING"
    """Somebody has to act within days."""
    CRITICAL = "CRITICAL"
    """Somebody has to act now."""


class Metric(StrEnum):
    """Everything that a rule can look at; the unit is in the name or in the sentence."""

    PROBE_FAILURES = "probe_failures"
    """How often in a row a probe was not HEALTHY, UNKNOWN included. The subject is the probe and its target."""
    TAG_FAILURES = "tag_failures"
    """The same of addresses that lead to one revision by its tag, which callers do not use."""
    P95_MS = "p95_ms"
    ERROR_RATE = "error_rate"
    """Share of requests answered with 5xx, 0 to 1."""
    BURN_RATE = "burn_rate"
    """How many times as fast as the availability's objective allows its error budget is used."""
    QUOTA_USED_SHARE = "quota_used_share"
    """Of a quota of BigQuery, 0 to 1 and beyond."""
    CERTIFICATE_DAYS_LEFT = "certificate_days_left"
    INDEX_AGE_SECONDS = "index_age_seconds"
    SENSOR_LAG_SECONDS = "sensor_lag_seconds"
    """By how much a tick is overdue, beyond its interval."""
    TICK_FAILURES = "tick_failures"
    """How often in a row a sensor or schedule was found to be late or to have failed."""
    RUN_QUEUE_SECONDS = "run_queue_seconds"
    """How long the oldest run waits to be started."""
    CLOCK_OFFSET_SECONDS = "clock_offset_seconds"
    """How far a service's clock is from ours, either way."""
    KEY_ROTATION_DAYS_LEFT = "key_rotation_days_left"
    """Until a key is to be rotated; negative once it is overdue."""
    STUCK_REQUEST_SECONDS = "stuck_request_seconds"
    """Age of the oldest request about a tenant that is not finished; 0 if all are."""
    FAILED_RUNS = "failed_runs"
    """Runs of one job that failed of late and that Dagster does not retry."""
    RELEASE_WAITS_SECONDS = "release_waits_seconds"
    """How long a rollout has waited for a person; 0 if it does not."""
    SOURCE_FAILURES = "source_failures"
    """1 for something that alerts rest on and that could not be read, 0 for what could."""


WINDOWED = frozenset({Metric.P95_MS, Metric.ERROR_RATE, Metric.BURN_RATE})
"""Metrics that are measured over a window of time, so that a rule on them has to name it."""

PROBED = frozenset({Metric.PROBE_FAILURES, Metric.TAG_FAILURES})
"""Metrics of which a rule may say which probes it means."""


@dataclass(frozen=True)
class Observation:
    """One metric of one subject as it was read for an evaluation.

    Attributes:
        value: in the metric's unit; None is unknown, which neither opens nor resolves anything.
        words: what was seen, for a person; no secret is in it.
        probe: which probe saw it, where one did.
        window: over which it was measured, such as `5m`, for metrics that have one.
        requests: how many requests it rests on, where it rests on such.
    """

    metric: Metric
    environment: str
    subject: str
    value: float | None
    words: str = ""
    probe: str = ""
    window: str = ""
    requests: int | None = None


@dataclass(frozen=True)
class Seen:
    """Everything that was observed for one evaluation.

    Attributes:
        whole: metrics of which every subject there is was listed: an alert about a subject that is not among them is about
            something that is gone. Of any other metric a missing subject is unknown.
    """

    observations: tuple[Observation, ...] = ()
    whole: frozenset[Metric] = frozenset()

    def __add__(self, other: "Seen") -> "Seen":
        """Both; a metric that both looked at is whole only if both say so."""
        looked = {one.metric for one in self.observations} | self.whole
        also = {one.metric for one in other.observations} | other.whole
        unsure = (looked - self.whole) | (also - other.whole)
        return Seen(self.observations + other.observations, (self.whole | other.whole) - unsure)


class AlertKind(StrEnum):
    """What happened to an alert, or was done about it: the column `kind` of `tenants.alerts`."""

    PENDING = "PENDING"
    """The condition holds, not yet often enough in a row to open the alert."""
    CLEARED = "CLEARED"
    """It ceased to hold before the alert was opened."""
    OPENED = "OPENED"
    UPDATED = "UPDATED"
    """The value became much worse than what was told last."""
    REMINDED = "REMINDED"
    """It is still open, and the interval since it was told last is over."""
    RECOVERING = "RECOVERING"
    """The condition does not hold any more, not yet often enough in a row to resolve the alert."""
    RELAPSED = "RELAPSED"
    """It held again before the alert was resolved."""
    RESOLVED = "RESOLVED"
    NOTIFIED = "NOTIFIED"
    """A channel was told of the event that `about` names."""
    UNDELIVERED = "UNDELIVERED"
    """A channel could not be told of the event that `about` names; it is tried again."""
    SILENCED = "SILENCED"
    """Somebody wants not to be told until `silenced_until`. Its alert_id is the silence's own."""
    UNSILENCED = "UNSILENCED"
    """The silence of this alert_id is over before its time."""


TOLD_KINDS = frozenset({AlertKind.OPENED, AlertKind.UPDATED, AlertKind.REMINDED, AlertKind.RESOLVED})
"""What people are told about."""


@dataclass(frozen=True)
class Subject:
    """What an alert is about: a rule never has two alerts about the same at once."""

    rule: str
    environment: str
    subject: str


@dataclass(frozen=True)
class AlertEvent:
    """One row of `tenants.alerts`. Times are UTC.

    Attributes:
        about_subject: of a silence: which rule and subject it covers, ANY for all.
        opened_at: when the condition was seen to hold first.
        streak: PENDING, RECOVERING: how many evaluations in a row; UNDELIVERED: how many attempts failed in a row.
        observed, threshold: in the rule's unit.
        silenced_until: SILENCED: its end; on any other event: it is told to nobody, because of a silence that ends then.
        channel, about: NOTIFIED and UNDELIVERED: who, and the event_id of what.
        actor: of a silence: who wants it.
    """

    event_id: str
    alert_id: str
    kind: AlertKind
    about_subject: Subject
    severity: Severity
    recorded_at: datetime
    message: str = ""
    runbook: str = ""
    opened_at: datetime | None = None
    streak: int = 0
    observed: float | None = None
    threshold: float | None = None
    silenced_until: datetime | None = None
    channel: str = ""
    about: str = ""
    actor: str = ""
    run_id: str | None = None


class Phase(StrEnum):
    """Where in its life an alert is; a resolved one is no alert any more."""

    PENDING = "PENDING"
    OPEN = "OPEN"
    RECOVERING = "RECOVERING"


@dataclass(frozen=True)
class Alert:
    """An alert as its events say.

    Attributes:
        since: when the condition was seen to hold first; with the subject it is what the id is made of.
        streak: evaluations in a row that led to this phase: bad ones while PENDING, good ones while RECOVERING.
        evaluated_at: of the last evaluation that changed anything; the same one again changes nothing.
        observed: the value that was told last.
        told_at: when something about it happened last that was not silenced; None: nobody was told of it at all.
    """

    alert_id: str
    about_subject: Subject
    phase: Phase
    severity: Severity
    since: datetime
    streak: int
    evaluated_at: datetime
    observed: float | None = None
    threshold: float | None = None
    message: str = ""
    runbook: str = ""
    told_at: datetime | None = None


@dataclass(frozen=True)
class Silence:
    """Nobody is told of what it covers until it ends; everything is recorded all the same."""

    silence_id: str
    covered: Subject
    until: datetime
    actor: str
    reason: str
    began_at: datetime

    def covers(self, subject: Subject, now: datetime) -> bool:
        """Whether nobody is told of this now."""
        pairs = (
            (self.covered.rule, subject.rule),
            (self.covered.environment, subject.environment),
            (self.covered.subject, subject.subject),
        )
        return self.began_at <= now < self.until and all(mine in (ANY, theirs) for mine, theirs in pairs)


@dataclass(frozen=True)
class Standing:
    """What all events together say.

    Attributes:
        resolved: of each subject, when its alerts of late were resolved, the oldest first.
    """

    alerts: Mapping[Subject, Alert] = field(default_factory=dict)
    silences: tuple[Silence, ...] = ()
    resolved: Mapping[Subject, tuple[datetime, ...]] = field(default_factory=dict)


def alert_id_of(subject: Subject, since: datetime) -> str:
    """The same for the same rule, subject and opening, whoever evaluates and however often."""
    return _hash(subject.rule, subject.environment, subject.subject, since.isoformat())


def silence_id_of(run_id: str) -> str:
    """The id of the silence that was asked for by this run, the same for its retries."""
    return f"sil_{_hash('silence', run_id)[:12]}"


def event_id_of(alert_id: str, kind: AlertKind, *parts: object) -> str:
    """The same for the same thing that happened to the same alert."""
    return _hash(alert_id, kind, *map(str, parts))


def _hash(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:_ID_CHARACTERS]
