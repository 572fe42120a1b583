"""Which run carries out a decision: none while one lives, and ever more slowly while they fail.

What belongs here: the pure choice of the attempt. Dagster keeps a run key for ever, so the attempt is a part of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

_FIRST_PAUSE = timedelta(seconds=4)
_LONGEST_PAUSE = timedelta(seconds=30)
STUCK_AFTER = timedelta(minutes=1)
"""A run that was made and not started for so long lost whoever made it."""


@dataclass(frozen=True)
class PastRun:
    """A run that moves traffic; `decision` is the id of the event that it was launched for, if it was for one."""

    created_at: datetime
    is_live: bool
    has_begun: bool
    decision: str = ""


def is_at_work(runs: Sequence[PastRun], now: datetime) -> bool:
    """Whether a run that moves traffic lives, which then decides alone."""
    return any(run.is_live and (run.has_begun or now - run.created_at <= STUCK_AFTER) for run in runs)


def next_attempt(decision: str, runs: Sequence[PastRun], now: datetime) -> int | None:
    """The number of the run to launch for a decision, from 1 on; None: wait for now."""
    tried = sorted(run.created_at for run in runs if run.decision == decision)
    if not tried:
        return 1
    pause = min(_FIRST_PAUSE * 2 ** (len(tried) - 1), _LONGEST_PAUSE)
    return len(tried) + 1 if now - tried[-1] >= pause else None
