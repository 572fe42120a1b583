"""Rules, observations and events for tests, with only what a test is about to be named."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from convergence_orchestration.health.alerting.evaluation import evaluate
from convergence_orchestration.health.alerting.history import fold
from convergence_orchestration.health.alerting.model import (
    ANY,
    AlertEvent,
    AlertKind,
    Metric,
    Observation,
    Seen,
    Severity,
    Subject,
    alert_id_of,
    event_id_of,
)
from convergence_orchestration.health.alerting.rules import Comparison, Rule, RuleBook

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WHERE = "production"
SUBJECT = Subject("too_many", WHERE, "thing")


def rule(**changes: Any) -> Rule:
    """Fires above 10 runs that failed, at once, and resolves after two good evaluations."""
    fields: dict[str, Any] = {
        "name": "too_many",
        "metric": Metric.FAILED_RUNS,
        "comparison": Comparison.ABOVE,
        "threshold": 10.0,
        "severity": Severity.CRITICAL,
        "summary": "There are too many.",
        "done": "Nothing was done about it.",
    }
    return Rule(**{**fields, **changes})


def book(*rules: Rule) -> RuleBook:
    return RuleBook(
        reminder_seconds={Severity.INFO: 86400, Severity.WARNING: 21600, Severity.CRITICAL: 3600},
        rules=rules or (rule(),),
    )


def saw(value: float | None, subject: str = SUBJECT.subject, **changes: Any) -> Observation:
    fields: dict[str, Any] = {
        "metric": Metric.FAILED_RUNS,
        "environment": WHERE,
        "subject": subject,
        "value": value,
    }
    return Observation(**{**fields, **changes})


class Life:
    """Evaluations a minute apart, each on the events of those before."""

    def __init__(self, rules: RuleBook | None = None) -> None:
        self.rules = rules or book()
        self.events: list[AlertEvent] = []
        self.now = NOW

    def see(self, *values: float | None) -> list[str]:
        """Evaluate once for each value; what was recorded, by kind."""
        return [kind for value in values for kind in self.look(Seen((saw(value),)))]

    def look(self, seen: Seen, step: timedelta = MINUTE) -> list[str]:
        """Evaluate once, `step` after the evaluation before."""
        self.now += step
        news = evaluate(self.rules, seen, fold(self.events, self.now), self.now)
        self.events.extend(news)
        return [event.kind.value for event in news]

    def told(self) -> list[str]:
        """What people are told, in order."""
        return [
            event.kind.value
            for event in self.events
            if event.silenced_until is None and event.kind in TELLING
        ]


TELLING = frozenset({AlertKind.OPENED, AlertKind.UPDATED, AlertKind.REMINDED, AlertKind.RESOLVED})


def event(kind: AlertKind = AlertKind.OPENED, at: datetime = NOW, **changes: Any) -> AlertEvent:
    subject: Subject = changes.pop("about_subject", SUBJECT)
    alert_id = changes.pop("alert_id", None) or alert_id_of(subject, NOW)
    fields: dict[str, Any] = {
        "event_id": event_id_of(alert_id, kind, at.isoformat()),
        "alert_id": alert_id,
        "kind": kind,
        "about_subject": subject,
        "severity": Severity.CRITICAL,
        "recorded_at": at,
        "message": "There are too many.",
        "runbook": "docs/runbooks/too_many.md",
        "opened_at": NOW,
        "observed": 11.0,
        "threshold": 10.0,
    }
    return AlertEvent(**{**fields, **changes})


def silenced(until: datetime, covered: Subject | None = None, at: datetime = NOW) -> AlertEvent:
    return AlertEvent(
        event_id=f"silence of {covered}",
        alert_id="sil_1",
        kind=AlertKind.SILENCED,
        about_subject=covered or Subject(ANY, ANY, ANY),
        severity=Severity.INFO,
        recorded_at=at,
        message="moving house",
        silenced_until=until,
        actor="cli:ana",
    )


def kinds(events: Iterable[AlertEvent]) -> list[str]:
    return [one.kind.value for one in events]
