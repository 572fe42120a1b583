"""What is told when alerts themselves cannot be read or recorded: pure.

What belongs here: the one kind of news that is told without being in the table first, because the table is what is missing. The
caller keeps the state, which is small; if that is lost people are told once more.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

PATIENCE = 2
"""Evaluations in a row that may fail before anybody is told: BigQuery has bad moments."""

TOLD_EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class Blindness:
    """How long alerts could not be evaluated; nothing of it while they can.

    Attributes:
        failures: evaluations in a row that failed.
        since: the first of them.
        told_at: when somebody was told last.
    """

    failures: int = 0
    since: datetime | None = None
    told_at: datetime | None = None

    def told(self, now: datetime) -> "Blindness":
        """The same, when somebody was told."""
        return replace(self, told_at=now)

    def to_json(self) -> dict[str, object]:
        """As the caller keeps it."""
        return {
            "failures": self.failures,
            "since": self.since.isoformat() if self.since is not None else None,
            "told_at": self.told_at.isoformat() if self.told_at is not None else None,
        }


SEEING = Blindness()


def from_json(kept: Any) -> Blindness:  # noqa: ANN401 whatever was kept
    """What was kept; SEEING for anything that cannot be read."""
    try:
        return Blindness(int(kept["failures"]), _moment(kept["since"]), _moment(kept["told_at"]))
    except (KeyError, TypeError, ValueError):
        return SEEING


def after_failure(kept: Blindness, now: datetime) -> Blindness:
    """One more evaluation failed."""
    return replace(kept, failures=kept.failures + 1, since=kept.since or now)


def is_due(kept: Blindness, now: datetime) -> bool:
    """Whether somebody is to be told now that alerts cannot be evaluated."""
    if kept.failures < PATIENCE:
        return False
    return kept.told_at is None or now - kept.told_at >= TOLD_EVERY


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
