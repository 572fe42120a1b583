"""What the events of alerts say about now: which alerts there are, who is silenced, what was resolved of late.

What belongs here: folding events in the order in which they were recorded. Which of them people are still to be told of is
outbox.py.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from convergence_orchestration.health.alerting.evaluation import FLAPPING_WITHIN
from convergence_orchestration.health.alerting.model import (
    TOLD_KINDS,
    Alert,
    AlertEvent,
    AlertKind,
    Phase,
    Silence,
    Standing,
    Subject,
)

_PLACE = {kind: place for place, kind in enumerate(AlertKind)}
"""Of events of the same moment, for example of an alert that is opened while its silence is recorded."""


def in_order(events: Iterable[AlertEvent]) -> list[AlertEvent]:
    """Each event once, the oldest first."""
    once: dict[str, AlertEvent] = {}
    for event in sorted(events, key=lambda one: (one.recorded_at, _PLACE[one.kind], one.event_id)):
        once.setdefault(event.event_id, event)
    return list(once.values())


def fold(events: Iterable[AlertEvent], now: datetime) -> Standing:
    """How everything stands, whatever order the events come in; silences that are over are left out.

    An alert whose first events are not among them is known all the same: each event says all that is known of its alert.
    """
    alerts: dict[Subject, Alert] = {}
    resolved: dict[Subject, tuple[datetime, ...]] = {}
    silences: dict[str, Silence] = {}
    for event in in_order(events):
        if event.kind is AlertKind.SILENCED:
            silences[event.alert_id] = _silence(event)
        elif event.kind is AlertKind.UNSILENCED:
            silences.pop(event.alert_id, None)
        elif event.kind in _AFTER:
            _fold_one(alerts, resolved, event)
    return Standing(
        alerts=alerts,
        silences=tuple(silence for silence in silences.values() if silence.until > now),
        resolved={
            subject: of_late
            for subject, moments in resolved.items()
            if (of_late := tuple(moment for moment in moments if now - moment <= FLAPPING_WITHIN))
        },
    )


def _fold_one(
    alerts: dict[Subject, Alert], resolved: dict[Subject, tuple[datetime, ...]], event: AlertEvent
) -> None:
    subject = event.about_subject
    before = alerts.get(subject)
    after = _AFTER[event.kind](before, event)
    if after is not None:
        alerts[subject] = after
        return
    alerts.pop(subject, None)
    if event.kind is AlertKind.RESOLVED and before is not None:
        resolved[subject] = (*resolved.get(subject, ()), event.recorded_at)


def _silence(event: AlertEvent) -> Silence:
    return Silence(
        silence_id=event.alert_id,
        covered=event.about_subject,
        until=event.silenced_until or event.recorded_at,
        actor=event.actor,
        reason=event.message,
        began_at=event.recorded_at,
    )


def _pending(before: Alert | None, event: AlertEvent) -> Alert:
    return before if before is not None and _is_open(before) else _alert(event, Phase.PENDING)


def _cleared(before: Alert | None, _event: AlertEvent) -> Alert | None:
    return before if _is_open(before) else None


def _is_open(alert: Alert | None) -> bool:
    """Whether people may know of it; then another evaluation at the same time, which did not know it yet, counts for nothing."""
    return alert is not None and alert.phase is not Phase.PENDING


def _opened(before: Alert | None, event: AlertEvent) -> Alert:
    if before is not None and _is_open(before):
        return before
    return _told(_alert(event, Phase.OPEN), None, event)


def _still_open(before: Alert | None, event: AlertEvent) -> Alert:
    after = _told(_alert(event, Phase.OPEN), before, event)
    if event.kind is AlertKind.REMINDED and before is not None:
        # being told of it is no look at it
        after = replace(after, phase=before.phase, streak=before.streak, evaluated_at=before.evaluated_at)
    return after


def _relapsed(before: Alert | None, event: AlertEvent) -> Alert:
    return _as_told(_alert(event, Phase.OPEN), before)


def _recovering(before: Alert | None, event: AlertEvent) -> Alert:
    return _as_told(_alert(event, Phase.RECOVERING), before)


def _over(_before: Alert | None, _event: AlertEvent) -> None:
    return None


_AFTER: Mapping[AlertKind, Callable[[Alert | None, AlertEvent], Alert | None]] = MappingProxyType(
    {
        AlertKind.PENDING: _pending,
        AlertKind.CLEARED: _cleared,
        AlertKind.OPENED: _opened,
        AlertKind.UPDATED: _still_open,
        AlertKind.REMINDED: _still_open,
        AlertKind.RECOVERING: _recovering,
        AlertKind.RELAPSED: _relapsed,
        AlertKind.RESOLVED: _over,
    }
)
"""What becomes of an alert by what happens to it; None: it is none any more. Other kinds change no alert."""


def _alert(event: AlertEvent, phase: Phase) -> Alert:
    return Alert(
        alert_id=event.alert_id,
        about_subject=event.about_subject,
        phase=phase,
        severity=event.severity,
        since=event.opened_at or event.recorded_at,
        streak=event.streak,
        evaluated_at=event.recorded_at,
        observed=event.observed,
        threshold=event.threshold,
        message=event.message,
        runbook=event.runbook,
    )


def _told(alert: Alert, before: Alert | None, event: AlertEvent) -> Alert:
    """With when people were told of it last: by this event, unless it is silenced."""
    assert event.kind in TOLD_KINDS  # noqa: S101 by the table above
    earlier = before.told_at if before is not None else None
    return replace(alert, told_at=earlier if event.silenced_until is not None else event.recorded_at)


def _as_told(alert: Alert, before: Alert | None) -> Alert:
    """With what people know of it, which a look that is told to nobody does not change."""
    if before is None:
        return alert
    return replace(
        alert,
        told_at=before.told_at,
        observed=before.observed,
        message=before.message,
        threshold=before.threshold,
    )
