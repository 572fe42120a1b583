"""What people read: the title and text of a notification, and the fields of its log line.

What belongs here: wording alone. Nothing of it is a secret.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from convergence_orchestration.health.alerting.model import AlertEvent, AlertKind, Severity
from convergence_orchestration.health.alerting.rules import Rule, RuleBook

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


def notification(events: Sequence[AlertEvent], book: RuleBook) -> Notification:
    """Events of one rule, environment and kind in words: what is wrong, since when, what was done already, which page helps."""
    first = events[0]
    subject = first.about_subject
    rule = book.rule(subject.rule)
    state = _STATE.get(first.kind, first.kind.lower())
    about = subject.subject if len(events) == 1 else f"{len(events)} subjects"
    lines = [line for event in events for line in _of_event(event, rule, is_alone=len(events) == 1)]
    if rule is not None and first.kind is not AlertKind.RESOLVED:
        lines.append(f"What the system did: {rule.done}")
    if first.runbook:
        lines.append(f"What to do: {first.runbook}")
    lines.append(f"Told at {_moment(first.recorded_at)}; the same event twice is the same news.")
    return Notification(
        f"[{first.severity}] {subject.rule} {state}: {about} ({subject.environment})",
        "\n".join(lines),
        first.severity,
        is_over=first.kind is AlertKind.RESOLVED,
    )


def _of_event(event: AlertEvent, rule: Rule | None, *, is_alone: bool) -> Iterator[str]:
    yield event.message if is_alone else f"{event.about_subject.subject}: {event.message}"
    if event.observed is not None and event.threshold is not None:
        sign = rule.comparison if rule is not None else "against"
        yield f"Measured: {event.observed:g} (the rule fires at {sign} {event.threshold:g})."
    since = f"Since {_moment(event.opened_at)}; a" if event.opened_at is not None else "A"
    yield f"{since}lert {event.alert_id}, event {event.event_id}."


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
