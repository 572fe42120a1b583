"""The log of what happened to alerts: `tenants.alerts`, of which rows are appended and never changed.

What belongs here: appending events and reading them back. What they mean is history.py and outbox.py.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from google.cloud.bigquery import Row, ScalarQueryParameter

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.health.alerting.history import in_order
from convergence_orchestration.health.alerting.model import AlertEvent, AlertKind, Severity, Subject
from convergence_orchestration.warehouse.bootstrap import needs_bootstrap
from convergence_orchestration.warehouse.model import CENTRAL_DATASET

TABLE = "alerts"
REMEMBERED = timedelta(days=35)
"""So far back events are read: longer than any silence lasts and than any open alert goes without an event."""

_SINCE = Path(__file__).with_name("alert_events_since.sql").read_text(encoding="utf-8")


class AlertEvents:
    """The log over one BigQuery. Errors are those of `gcp.bigquery`; NOT_BOOTSTRAPPED before the bootstrap."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bigquery = bigquery

    def append(self, events: Sequence[AlertEvent]) -> None:
        """Write down that `events` happened; the same event twice counts once."""
        if not events:
            return
        with needs_bootstrap():
            self._bigquery.append(CENTRAL_DATASET, TABLE, [row_of(event) for event in events])

    def remembered(self, now: datetime) -> list[AlertEvent]:
        """Every event of the last weeks, in order."""
        since = ScalarQueryParameter("since", "TIMESTAMP", now - REMEMBERED)
        with needs_bootstrap():
            found = map(event_of, self._bigquery.query(_SINCE, [since]))
            return in_order(event for event in found if event is not None)


def row_of(event: AlertEvent) -> dict[str, object]:
    """The event as a row; a column without a value is left out."""
    subject = event.about_subject
    row: dict[str, object | None] = {
        "event_id": event.event_id,
        "alert_id": event.alert_id,
        "rule": subject.rule,
        "kind": event.kind.value,
        "severity": event.severity.value,
        "environment": subject.environment,
        "subject": subject.subject,
        "message": event.message or None,
        "runbook": event.runbook or None,
        "observed": event.observed,
        "threshold": event.threshold,
        "silenced_until": event.silenced_until,
        "opened_at": event.opened_at,
        "streak": event.streak or None,
        "channel": event.channel or None,
        "about_event_id": event.about or None,
        "actor": event.actor or None,
        "run_id": event.run_id,
        "recorded_at": event.recorded_at,
    }
    return {name: value for name, value in row.items() if value is not None}


def event_of(row: Row) -> AlertEvent | None:
    """The event that a row says; None for a kind of event that this version does not know."""
    if row["kind"] not in AlertKind or row["severity"] not in Severity:
        return None
    return AlertEvent(
        event_id=row["event_id"],
        alert_id=row["alert_id"],
        kind=AlertKind(row["kind"]),
        about_subject=Subject(row["rule"], row["environment"], row["subject"] or ""),
        severity=Severity(row["severity"]),
        recorded_at=row["recorded_at"],
        message=row["message"] or "",
        runbook=row["runbook"] or "",
        opened_at=row["opened_at"],
        streak=row["streak"] or 0,
        observed=row["observed"],
        threshold=row["threshold"],
        silenced_until=row["silenced_until"],
        channel=row["channel"] or "",
        about=row["about_event_id"] or "",
        actor=row["actor"] or "",
        run_id=row["run_id"],
    )
