"""What is known of the platform's health: what probes found, and the levels of service that were kept.

What belongs here: names and frozen dataclasses, without I/O. How a probe looks is `probes/`, how levels are computed is
`levels/`, what is told to people because of either is the alerts' business. Unknown is never zero and never healthy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class ProbeStatus(StrEnum):
    """What a probe found; whoever waits for HEALTHY takes UNKNOWN for a failure, for an outage looks like it."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    """It was asked and is not as it shall be."""
    UNKNOWN = "UNKNOWN"
    """It could not be asked: nobody answered, or not in time, or what would tell could not be read."""


class ProbeName(StrEnum):
    """Every probe there is: the column `probe` of `tenants.health_checks`."""

    CLOUD_RUN = "cloud_run"
    """The service as Cloud Run has it; its addresses are what the API's probes ask."""
    API_LIVE = "api_live"
    API_READY = "api_ready"
    API_HEALTH = "api_health"
    """The versioned health, which names the environment and the version."""
    INDEX_AGE = "index_age"
    """How old the API's indexes of keys and tenants are, by its own word."""
    TLS = "tls"
    """The certificate of an https address."""
    KMS_ROUND_TRIP = "kms_round_trip"
    ADMIN_SECRET = "admin_secret"  # noqa: S105 a probe's name
    BIGQUERY_QUERY = "bigquery_query"
    BIGQUERY_QUOTA = "bigquery_quota"
    DAGSTER_DAEMON = "dagster_daemon"
    """The heartbeat of one daemon of Dagster; the target names which."""
    SENSOR_LAG = "sensor_lag"
    """How long a running sensor or schedule has not ticked; the target names which."""
    RUN_QUEUE = "run_queue"
    """How long the oldest run waits to be started."""


class Measure(StrEnum):
    """Every number that a probe measures besides its latency: the keys of `ProbeResult.measured`."""

    DAYS_LEFT = "days_left"
    """Of a certificate, in days; negative once it has expired."""
    AGE_SECONDS = "age_seconds"
    """Of what the probe looks at: an index, a heartbeat, the oldest waiting run."""
    LAG_SECONDS = "lag_seconds"
    """By how much a tick is overdue, beyond its interval; 0 while it is in time."""
    WAITING = "waiting"
    """Runs that wait to be started."""
    USED_SHARE = "used_share"
    """Of a quota, 0 to 1 and beyond."""
    TRAFFIC_PERCENT = "traffic_percent"
    """Of the revision that a tag leads to, 0 to 100: what fails at 0 harms nobody."""
    CLOCK_OFFSET_SECONDS = "clock_offset_seconds"
    """By how much the target's clock is ahead of ours, by the Date header of its answer."""


@dataclass(frozen=True)
class ProbeResult:
    """What one probe found of one target.

    Attributes:
        target: an address or a resource's name; with the probe and the environment it identifies what is looked at.
        at: when it was looked, by our clock, UTC.
        revision: the revision that answered, where it is known.
        latency_ms: None when there was no answer.
        status_code: of an HTTP answer.
        message: what was found, in words for a person; no secret is in it.
        measured: only what could be measured: a number that is missing is unknown.
    """

    probe: ProbeName
    target: str
    environment: str
    status: ProbeStatus
    at: datetime
    revision: str | None = None
    latency_ms: float | None = None
    status_code: int | None = None
    message: str = ""
    measured: Mapping[Measure, float] = field(default_factory=dict)


class Window(StrEnum):
    """A stretch of time over which levels of service are computed, ending now or at a day's end."""

    FIVE_MINUTES = "5m"
    HOUR = "1h"
    DAY = "1d"
    MONTH = "30d"

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return _LENGTHS[self]


_LENGTHS = {
    Window.FIVE_MINUTES: timedelta(minutes=5),
    Window.HOUR: timedelta(hours=1),
    Window.DAY: timedelta(days=1),
    Window.MONTH: timedelta(days=30),
}


@dataclass(frozen=True)
class Objectives:
    """What the service promises: the guide's Key Metrics. Rates are shares between 0 and 1, latencies milliseconds."""

    availability: float = 0.999
    p95_ms: float = 200.0
    p99_ms: float = 500.0
    error_rate: float = 0.001


class RequestRate(StrEnum):
    """How the rate of requests compares with that of the time before."""

    USUAL = "USUAL"
    SURGE = "SURGE"
    DROP = "DROP"


@dataclass(frozen=True)
class ServiceLevels:
    """How a service, or one revision of it, answered in a window. None is unknown, never zero.

    Attributes:
        revision: None for all revisions together.
        start, end: what was really measured, UTC: `end` is as late as the meters are complete.
        requests: that ended in the window; None when the meters could not be read or say nothing.
        errors: those among them that were answered with 5xx.
        availability: the share that was not; None also without any request.
        p95_ms, p99_ms: None also when the latency of any part is missing.
        error_rate: errors by requests, 0 to 1.
        anomaly: whether the rate is unusual; None when there is too little to compare with.
        budget_left: the share of the errors that the availability's objective allows which is left, 1 to 0, below 0 when it
            is overdrawn.
        burn_rate: how many times as fast as allowed the budget is used: 1 uses it up exactly by the window's end.
        why_unknown: in words, when something is.
    """

    environment: str
    service: str
    revision: str | None
    window: Window
    start: datetime
    end: datetime
    requests: int | None = None
    errors: int | None = None
    availability: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    error_rate: float | None = None
    requests_per_second: float | None = None
    anomaly: RequestRate | None = None
    budget_left: float | None = None
    burn_rate: float | None = None
    why_unknown: str = ""
