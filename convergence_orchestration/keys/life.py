"""What may be done with a key in which state: each command is judged here by the one table of transitions.

What belongs here: decisions without I/O, and how a refusal reads. What a command then does is in its own module.
"""

from datetime import datetime, timedelta

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.keys.model import KeyRecord
from convergence_orchestration.keys.states import KEY_TRANSITIONS, KeyState

REDELIVERED_FOR = timedelta(minutes=10)
"""How long after its first delivery a key asked for with an Idempotency-Key is handed over again."""

FETCHED_WITHIN = timedelta(days=7)
"""How long after its issue a key can be fetched by the first who asks."""

ENDED_AFTER = FETCHED_WITHIN + timedelta(hours=1)
"""So long after its issue a key is ended that nobody fetched: deliveries that began in time are over, whatever the clocks say."""


def is_revocable(record: KeyRecord, now: datetime) -> bool:
    """Whether a revocation changes anything; a key that is revoked already stays as it is."""
    return KeyState.REVOKED in KEY_TRANSITIONS[record.state(now)]


def refuse_rotation(record: KeyRecord, now: datetime) -> None:
    """Let an ACTIVE key pass.

    Raises:
        PermanentError: FAILED_PRECONDITION, saying what to do with a key in another state.
    """
    state = record.state(now)
    if KeyState.ROTATING in KEY_TRANSITIONS[state]:
        return
    details: dict[str, object] = {"key_id": record.key_id, "state": str(state)}
    instead = f"Issue a new key for {record.tenant_id}"
    if record.successor_key_id is not None and state is not KeyState.REVOKED:
        details["successor_key_id"] = record.successor_key_id
        instead = f"Rotate {record.successor_key_id}, which has replaced it"
    raise PermanentError(
        ErrorCode.FAILED_PRECONDITION,
        f"{instead}: {record.key_id} is {state} and cannot be rotated.",
        details,
    )


def refuse_delivery(record: KeyRecord, now: datetime) -> None:
    """Let a key pass that callers would be let in with, and that was handed over before or can still be fetched.

    Raises:
        PermanentError: FAILED_PRECONDITION for a revoked or an expired one, and for one that nobody fetched in time.
    """
    state = str(record.state(now))
    details: dict[str, object] = {"key_id": record.key_id, "state": state}
    if not record.is_accepted(now):
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION, f"Issue a new key: {record.key_id} is {state}.", details
        )
    if record.delivered_at is None and record.issued_at + FETCHED_WITHIN <= now:
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Revoke {record.key_id} and issue a new key: nobody fetched it in the {FETCHED_WITHIN.days} days in which it "
            "could be.",
            details,
        )


def may_be_redelivered(record: KeyRecord, now: datetime) -> bool:
    """Whether the Idempotency-Key that the key was asked for with still gets it."""
    return record.delivered_at is None or now < record.delivered_at + REDELIVERED_FOR


def is_nobodys(record: KeyRecord, now: datetime) -> bool:
    """Whether the key is accepted and nobody has it or can get it: a delivery is recorded before the key is handed over.

    A key whose delivery is recorded is never nobody's, also if it came to nothing: it may be in use.
    """
    return record.is_accepted(now) and record.delivered_at is None and record.issued_at + ENDED_AFTER <= now
