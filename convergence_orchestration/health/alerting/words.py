"""What people read: the title and text of a notification, and the fields of its log line.

What belongs here: wording alone. Nothing of it is a secret.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from convergence_orchestration.health.alerting.model import AlertEvent, AlertKind, Severity
from convergence_orchestration.health.alerting.rules import RuleBook

_STATE = {
    AlertKind.OPENED: "opened",
    AlertKind.UPDATED: "got worse",
    AlertKind.REMINDED: "still open",
    AlertKind.RESOLVED: "resolved",
}


@dataclass(frozen=True)
class Notification:
    """What a channel is told."""

    title: str
    body: str
    severity: Severity
    is_over: bool


def notification(event: AlertEvent, book: RuleBook) -> Notification:
    """The event in words: what is wrong, since when, what the system did already, and which page helps."""
    subject = event.about_subject
    rule = book.rule(subject.rule)
    state = _STATE.get(event.kind, event.kind.lower())
    title = f"[{event.severity}] {subject.rule} {state}: {subject.subject} ({subject.environment})"
    lines = [event.message]
    if event.observed is not None and event.threshold is not None:
        sign = rule.comparison if rule is not None else "against"
        lines.append(f"Measured: {event.observed:g} (the rule fires at {sign} {event.threshold:g}).")
    if event.opened_at is not None:
        lines.append(f"Since {_moment(event.opened_at)}, told at {_moment(event.recorded_at)}.")
    if rule is not None and event.kind is not AlertKind.RESOLVED:
        lines.append(f"What the system did: {rule.done}")
    if event.runbook:
        lines.append(f"What to do: {event.runbook}")
    lines.append(f"Alert {event.alert_id}, event {event.event_id}: the same event twice is the same news.")
    return Notification(title, "\n".join(lines), event.severity, is_over=event.kind is AlertKind.RESOLVED)


def log_fields(event: AlertEvent) -> dict[str, object]:
    """The event as fields of a JSON log line."""
    subject = event.about_subject
    return {
        "alert_id": event.alert_id,
        "event_id": event.event_id,
        "kind": event.kind.value,
        "rule": subject.rule,
        "subject": subject.subject,
        "environment": subject.environment,
        "alert_severity": event.severity.value,
        "observed": event.observed,
        "threshold": event.threshold,
        "since": event.opened_at.isoformat() if event.opened_at is not None else None,
        "runbook": event.runbook,
        "detail": event.message,
    }


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
