"""When an alert opens, is updated, is told again and resolves: pure, with the clock passed in.

What belongs here: one evaluation. Its states, for one rule and subject:

    (none) --bad--> PENDING --bad, `for` times in a row--> OPEN --good--> RECOVERING --good, often enough--> (none)
    PENDING --good--> (none)            RECOVERING --bad--> OPEN

Flapping is damped twice: a condition has to hold for as many evaluations in a row as its rule says, and it has to be gone for
`resolve_after` of them, doubled for each alert about the same subject that was resolved within the last hour (eightfold at most):
what comes and goes every minute becomes one long alert. An unknown value changes nothing: no phase, no streak. A subject that is
not there any more counts as good, if everything that there is was seen; otherwise it is unknown.

An evaluation is named by its time. Made again with the same time, by a run that was killed behind its append for example, it
yields the same events by id, or none where they are known already.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from convergence_orchestration.health.alerting.model import (
    Alert,
    AlertEvent,
    AlertKind,
    Observation,
    Phase,
    Seen,
    Silence,
    Standing,
    Subject,
    alert_id_of,
    event_id_of,
)
from convergence_orchestration.health.alerting.rules import Rule, RuleBook

FLAPPING_WITHIN = timedelta(hours=1)
_MOST_PATIENCE = 8


@dataclass(frozen=True)
class Reading:
    """What a rule makes of the observations of one subject.

    Attributes:
        bad: whether the rule fires; None: unknown.
        value: that decides, in the metric's unit.
    """

    bad: bool | None
    value: float | None = None
    words: str = ""


GONE = Reading(bad=False, words="It is not there any more.")
"""The subject was not among all that there are."""

_UNKNOWN = Reading(bad=None)


def evaluate(book: RuleBook, seen: Seen, standing: Standing, now: datetime) -> list[AlertEvent]:
    """What is to be recorded now, alert by alert. Nothing of it is known to `standing` yet."""
    cases = [case for rule in book.rules for case in _cases(rule, seen, standing, now)]
    events = [event for case in cases for event in case.events()]
    events.extend(_of_rules_that_are_gone(book, standing, now))
    events.extend(_reminders(book, cases, {event.about_subject for event in events}))
    return list(_silenced(events, standing, now))


def _cases(rule: Rule, seen: Seen, standing: Standing, now: datetime) -> "Iterator[_Case]":
    readings = read(rule, seen)
    known = {subject for subject in standing.alerts if subject.rule == rule.name}
    missing = GONE if rule.metric in seen.whole else _UNKNOWN
    for subject in sorted(known | readings.keys(), key=_order):
        yield _Case(rule, subject, readings.get(subject, missing), standing, now)


def read(rule: Rule, seen: Seen) -> dict[Subject, Reading]:
    """What the rule makes of each subject that was observed."""
    found: dict[Subject, list[Observation]] = {}
    for one in seen.observations:
        if one.metric is rule.metric and (not rule.probes or one.probe in rule.probes):
            found.setdefault(Subject(rule.name, one.environment, one.subject), []).append(one)
    return {subject: _reading(rule, ones) for subject, ones in found.items()}


def _reading(rule: Rule, ones: Sequence[Observation]) -> Reading:
    """Of several windows any that is good makes the whole good; otherwise any that is unknown makes it unknown."""
    wanted = [window.value for window in rule.windows] or [""]
    by_window = {one.window: one for one in ones}
    known = [
        by_window[window] for window in wanted if window in by_window and _is_known(rule, by_window[window])
    ]
    good = next((one for one in known if one.value is not None and not rule.breaches(one.value)), None)
    if good is not None:
        return Reading(bad=False, value=good.value, words=good.words)
    if len(known) < len(wanted):
        return _UNKNOWN
    return Reading(bad=True, value=known[0].value, words=known[0].words)


def _is_known(rule: Rule, one: Observation) -> bool:
    return one.value is not None and (
        not rule.minimum_requests or (one.requests or 0) >= rule.minimum_requests
    )


@dataclass(frozen=True)
class _Case:
    """One rule, one subject, one evaluation."""

    rule: Rule
    subject: Subject
    reading: Reading
    standing: Standing
    now: datetime

    def events(self) -> Iterator[AlertEvent]:
        alert = self.standing.alerts.get(self.subject)
        if self.reading.bad is None or (alert is not None and self.now <= alert.evaluated_at):
            return
        if self.reading.bad:
            yield from self._bad(alert)
        elif alert is not None:
            yield from self._good(alert)

    def _bad(self, alert: Alert | None) -> Iterator[AlertEvent]:
        if alert is None or alert.phase is Phase.PENDING:
            streak = 1 if alert is None else alert.streak + 1
            kind = AlertKind.OPENED if streak >= self.rule.evaluations else AlertKind.PENDING
            yield self._event(kind, self.now if alert is None else alert.since, streak)
        elif alert.phase is Phase.RECOVERING:
            yield self._event(AlertKind.RELAPSED, alert.since)
        elif self.reading.value is not None and self.rule.is_much_worse(self.reading.value, alert.observed):
            yield self._event(AlertKind.UPDATED, alert.since)

    def _good(self, alert: Alert) -> Iterator[AlertEvent]:
        if alert.phase is Phase.PENDING:
            yield self._event(AlertKind.CLEARED, alert.since)
            return
        streak = alert.streak + 1 if alert.phase is Phase.RECOVERING else 1
        resolved = self.standing.resolved.get(self.subject, ())
        kind = (
            AlertKind.RESOLVED if streak >= patience(self.rule, resolved, self.now) else AlertKind.RECOVERING
        )
        yield self._event(kind, alert.since, streak)

    def _event(self, kind: AlertKind, since: datetime, streak: int = 0) -> AlertEvent:
        alert_id = alert_id_of(self.subject, since)
        return AlertEvent(
            event_id=event_id_of(alert_id, kind, self.now.isoformat()),
            alert_id=alert_id,
            kind=kind,
            about_subject=self.subject,
            severity=self.rule.severity,
            recorded_at=self.now,
            message=_message(self.rule, self.reading),
            runbook=self.rule.runbook,
            opened_at=since,
            streak=streak,
            observed=self.reading.value,
            threshold=self.rule.threshold,
        )


def patience(rule: Rule, resolved: Iterable[datetime], now: datetime) -> int:
    """How many good evaluations in a row resolve an alert about a subject whose earlier ones were resolved then."""
    of_late = sum(now - FLAPPING_WITHIN < moment <= now for moment in resolved)
    return rule.resolve_after * min(1 << of_late, _MOST_PATIENCE)


def _message(rule: Rule, reading: Reading) -> str:
    return " ".join(part for part in (rule.summary, reading.words) if part)


def _of_rules_that_are_gone(book: RuleBook, standing: Standing, now: datetime) -> Iterator[AlertEvent]:
    """An alert whose rule was taken out of the file ends: nothing would ever resolve it."""
    for subject, alert in standing.alerts.items():
        if book.rule(subject.rule) is None and now > alert.evaluated_at:
            kind = AlertKind.CLEARED if alert.phase is Phase.PENDING else AlertKind.RESOLVED
            event = of_alert(alert, kind, now)
            yield replace(event, message=f"The rule {subject.rule} is not among the rules any more.")


def _reminders(book: RuleBook, cases: Iterable[_Case], touched: Collection[Subject]) -> Iterator[AlertEvent]:
    """Alerts that stay open and that nobody was told of for too long; those that were silenced until now are told at once."""
    for case in cases:
        alert, now = case.standing.alerts.get(case.subject), case.now
        if alert is None or alert.phase is Phase.PENDING or case.subject in touched:
            continue
        interval = timedelta(seconds=book.reminder_seconds[alert.severity])
        is_due = alert.told_at is None or now - alert.told_at >= interval
        if is_due and not _silence_of(case.subject, case.standing.silences, now):
            yield _reminder(alert, case.reading, now)


def _reminder(alert: Alert, reading: Reading, now: datetime) -> AlertEvent:
    event = of_alert(alert, AlertKind.REMINDED, now)
    if reading.bad is None:
        return replace(event, message=f"{alert.message} How it is now is not known.")
    return event if reading.value is None else replace(event, observed=reading.value)


def of_alert(alert: Alert, kind: AlertKind, now: datetime) -> AlertEvent:
    """That `kind` happens to the alert now, with everything else as it was told last."""
    return AlertEvent(
        event_id=event_id_of(alert.alert_id, kind, now.isoformat()),
        alert_id=alert.alert_id,
        kind=kind,
        about_subject=alert.about_subject,
        severity=alert.severity,
        recorded_at=now,
        message=alert.message,
        runbook=alert.runbook,
        opened_at=alert.since,
        observed=alert.observed,
        threshold=alert.threshold,
    )


def _silenced(events: Iterable[AlertEvent], standing: Standing, now: datetime) -> Iterator[AlertEvent]:
    """The events, each with the end of the silence that keeps it from being told; what nobody knows of ends untold too."""
    for event in events:
        silence = _silence_of(event.about_subject, standing.silences, now)
        if silence is not None:
            yield replace(event, silenced_until=silence.until)
        elif event.kind is AlertKind.RESOLVED and _was_never_told(standing.alerts, event.about_subject):
            yield replace(event, silenced_until=now)
        else:
            yield event


def _was_never_told(alerts: Mapping[Subject, Alert], subject: Subject) -> bool:
    alert = alerts.get(subject)
    return alert is not None and alert.told_at is None


def _silence_of(subject: Subject, silences: Iterable[Silence], now: datetime) -> Silence | None:
    return next((silence for silence in silences if silence.covers(subject, now)), None)


def _order(subject: Subject) -> tuple[str, str]:
    return subject.environment, subject.subject
