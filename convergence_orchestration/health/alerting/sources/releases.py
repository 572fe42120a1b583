"""How long rollouts have waited for a person.

What belongs here: reading the events of releases and turning them into one observation for each service. What the events mean is
the releases' own history.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from google.cloud.bigquery import ScalarQueryParameter

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.health.alerting.model import Metric, Observation, Seen
from convergence_orchestration.releases.history import fold
from convergence_orchestration.releases.model import ReleaseEvent
from convergence_orchestration.releases.store import event_of
from convergence_orchestration.warehouse.bootstrap import needs_bootstrap

NAME = "release_events"
KEPT = timedelta(days=30)
"""A rollout that nothing happened to for longer is nobody's any more."""

_SINCE = Path(__file__).with_name("release_events_since.sql").read_text(encoding="utf-8")


def read_releases(bigquery: BigQuery, now: datetime) -> Seen:
    """What the events of the last weeks say.

    Raises:
        ConvergenceError: those of `gcp.bigquery`; NOT_BOOTSTRAPPED.
    """
    since = ScalarQueryParameter("since", "TIMESTAMP", now - KEPT)
    with needs_bootstrap():
        return of_releases(map(event_of, bigquery.query(_SINCE, [since])), now)


def of_releases(events: Iterable[ReleaseEvent], now: datetime) -> Seen:
    """For how many seconds the rollout of each service waits, 0 if it does not."""
    services: dict[tuple[str, str], list[ReleaseEvent]] = {}
    for event in events:
        services.setdefault((event.environment, event.service), []).append(event)
    observations = tuple(
        _of_service(environment, service, of_service, now)
        for (environment, service), of_service in services.items()
    )
    return Seen(observations, frozenset({Metric.RELEASE_WAITS_SECONDS}))


def _of_service(environment: str, service: str, events: Iterable[ReleaseEvent], now: datetime) -> Observation:
    rollout = fold(events).rollout
    waits = rollout.waits if rollout is not None and rollout.ended is None else None
    if rollout is None or waits is None:
        return Observation(Metric.RELEASE_WAITS_SECONDS, environment, service, 0.0)
    seconds = max((now - waits.recorded_at).total_seconds(), 1.0)
    words = (
        f"Release {rollout.release_id} waits since {waits.recorded_at:%Y-%m-%d %H:%M:%S} UTC. {waits.reason}"
    )
    return Observation(Metric.RELEASE_WAITS_SECONDS, environment, service, seconds, words.strip())
