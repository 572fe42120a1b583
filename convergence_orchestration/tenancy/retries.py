"""What happens next with a request that has not been done: pure, on its state and the time.

What belongs here: when a failed request is tried again by itself, and when no longer. Who tries is the sensor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from convergence_orchestration.errors import TRANSIENT_CODES, ErrorCode
from convergence_orchestration.tenancy.request_model import RequestState

MOST_ATTEMPTS = 8
"""With the pauses below a request is tried for about an hour."""

_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(minutes=30)


class NextStep(StrEnum):
    """What the platform will do by itself."""

    LAUNCH = "LAUNCH"
    FINISH = "FINISH"
    RETRY = "RETRY"
    NOTHING = "NOTHING"


@dataclass(frozen=True)
class Outlook:
    """What comes next; `retry_at` is set for RETRY, UTC, and `sentence` is for people."""

    step: NextStep
    sentence: str
    retry_at: datetime | None = None


_SENTENCES: Mapping[RequestState, Outlook] = MappingProxyType(
    {
        RequestState.REQUESTED: Outlook(NextStep.LAUNCH, "A run is launched for it within seconds."),
        RequestState.RUNNING: Outlook(
            NextStep.FINISH, "Its run finishes it; if that run is killed, another one is launched."
        ),
        RequestState.DONE: Outlook(NextStep.NOTHING, "Nothing: it is done."),
    }
)


def outlook(state: RequestState, attempt: int, error_code: ErrorCode | None, updated_at: datetime) -> Outlook:
    """What the platform does next with a request in this state, which it has had since `updated_at`."""
    if state is not RequestState.FAILED:
        return _SENTENCES[state]
    if error_code not in TRANSIENT_CODES:
        return Outlook(
            NextStep.NOTHING,
            "Nothing by itself, the failure is permanent: mend what its reason names, then ask again.",
        )
    if attempt >= MOST_ATTEMPTS:
        return Outlook(
            NextStep.NOTHING,
            f"Nothing by itself after {attempt} attempts: mend what its reason names, then ask again.",
        )
    at = updated_at + pause_after(attempt)
    return Outlook(NextStep.RETRY, "It is tried again by itself.", retry_at=at)


def pause_after(attempt: int) -> timedelta:
    """How long a failed attempt, counted from 1, is left alone: 30 s, doubled each time, half an hour at most."""
    return min(_FIRST_PAUSE * (1 << min(attempt - 1, 20)), _LONGEST_PAUSE)
