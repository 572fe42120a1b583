"""How old the oldest request about a tenant is that is not finished.

What belongs here: turning unfinished requests into one observation. Reading them is the tenants' own store.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from convergence_orchestration.health.alerting.model import Metric, Observation, Seen
from convergence_orchestration.tenancy.requests import UnfinishedRequest

NAME = "tenant_requests"
KEPT = timedelta(days=2)
"""Requests that nothing happened to for longer are not looked at: they were told of long ago."""


def of_requests(unfinished: Sequence[UnfinishedRequest], environment: str, now: datetime) -> Seen:
    """The age of the oldest one in seconds; 0 without any."""
    oldest = min(unfinished, key=lambda one: one.requested_at, default=None)
    age = 0.0 if oldest is None else max((now - oldest.requested_at).total_seconds(), 0.0)
    words = "" if oldest is None else _words(oldest, len(unfinished))
    seen = Observation(Metric.STUCK_REQUEST_SECONDS, environment, NAME, age, words)
    return Seen((seen,), frozenset({Metric.STUCK_REQUEST_SECONDS}))


def _words(oldest: UnfinishedRequest, unfinished: int) -> str:
    others = f", and {unfinished - 1} more are not finished" if unfinished > 1 else ""
    return (
        f"The oldest is {oldest.request_id} ({oldest.kind} of tenant {oldest.tenant_id}, {oldest.state}, attempt "
        f"{oldest.attempt}){others}."
    )
