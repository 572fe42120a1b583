"""What people do about alerts: silence them for a while, and end a silence before its time.

What belongs here: the checks of what is asked for, and the event that says so. A silence has an end and an author; it keeps people
from being told, and nothing from being recorded.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.health.alerting.model import (
    ANY,
    AlertEvent,
    AlertKind,
    Severity,
    Silence,
    Standing,
    Subject,
    event_id_of,
    silence_id_of,
)
from convergence_orchestration.health.alerting.rules import RuleBook
from convergence_orchestration.settings import Environment

LONGEST = timedelta(days=30)
"""A rule that shall never tell anybody is to be taken out of the rules."""

_LONGEST_TEXT = 500


@dataclass(frozen=True)
class Asked:
    """What a person asks for.

    Attributes:
        rule, subject, environment: what is silenced; ANY covers all.
        until: ISO 8601; without an offset it is UTC.
        actor: who.
        run_id: the first run that was launched for it: the same wish of the same run is one silence.
    """

    rule: str
    subject: str
    environment: str
    until: str
    reason: str
    actor: str
    run_id: str


def silence(asked: Asked, book: RuleBook, now: datetime) -> AlertEvent:
    """The event to append.

    Raises:
        PermanentError: INVALID_ARGUMENT, with the field.
    """
    if asked.rule != ANY and book.rule(asked.rule) is None:
        known = ", ".join(rule.name for rule in book.rules)
        raise _wrong("rule", f"Name a rule, or {ANY} for all: there is {known}.")
    if asked.environment != ANY and asked.environment not in Environment:
        raise _wrong(
            "environment", f"Name an environment, one of {', '.join(Environment)}, or {ANY} for all."
        )
    if not asked.reason.strip() or len(asked.reason) > _LONGEST_TEXT or len(asked.subject) > _LONGEST_TEXT:
        raise _wrong("reason", f"Say why, in at most {_LONGEST_TEXT} characters.")
    until = _end(asked.until, now)
    silence_id = silence_id_of(asked.run_id)
    return AlertEvent(
        event_id=event_id_of(silence_id, AlertKind.SILENCED),
        alert_id=silence_id,
        kind=AlertKind.SILENCED,
        about_subject=Subject(asked.rule, asked.environment, asked.subject or ANY),
        severity=Severity.INFO,
        recorded_at=now,
        message=asked.reason.strip(),
        silenced_until=until,
        actor=asked.actor,
        run_id=asked.run_id,
    )


def unsilence(silence_id: str, standing: Standing, actor: str, run_id: str, now: datetime) -> AlertEvent:
    """The event that ends a silence now.

    Raises:
        PermanentError: NOT_FOUND if there is no such silence, or it is over.
    """
    found = next((one for one in standing.silences if one.silence_id == silence_id), None)
    if found is None:
        known = ", ".join(one.silence_id for one in standing.silences) or "none"
        raise PermanentError(
            ErrorCode.NOT_FOUND,
            f"Name a silence that lasts, as `convergence alerts list` shows them: there is {known}.",
            {"field": "silence"},
        )
    return _ended(found, actor, run_id, now)


def _ended(found: Silence, actor: str, run_id: str, now: datetime) -> AlertEvent:
    return AlertEvent(
        event_id=event_id_of(found.silence_id, AlertKind.UNSILENCED),
        alert_id=found.silence_id,
        kind=AlertKind.UNSILENCED,
        about_subject=found.covered,
        severity=Severity.INFO,
        recorded_at=now,
        message=found.reason,
        actor=actor,
        run_id=run_id,
    )


def _end(text: str, now: datetime) -> datetime:
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        raise _wrong("until", "Give until in ISO 8601, for example 2030-01-31T18:00:00Z.") from None
    until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    if not now < until <= now + LONGEST:
        raise _wrong("until", f"Let the silence end in the future and within {LONGEST.days} days.")
    return until.astimezone(UTC)


def _wrong(field: str, words: str) -> PermanentError:
    return PermanentError(ErrorCode.INVALID_ARGUMENT, words, {"field": field})
