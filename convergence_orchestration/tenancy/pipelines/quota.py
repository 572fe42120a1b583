"""Whether a pipeline run may start: the plan's runs a day and its runs at once, against what was counted.

What belongs here: the decisions, with usage and clock passed in, and the errors that tell a tenant about them. No I/O.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.tenancy.model import PlanLimits
from convergence_orchestration.tenancy.pipelines.model import PipelineRunId

RETRY_WHEN_FULL_SECONDS = 5.0
"""When to ask again while all places are taken: a run takes a few seconds."""

LAUNCH_PATIENCE = timedelta(minutes=2)
"""A run that was admitted and of which Dagster knows nothing is still being launched for this long."""


@dataclass(frozen=True)
class UsageDay:
    """What was counted on one day (UTC); `live` are the runs of that day which have not given back their place."""

    day: date
    pipeline_runs: int
    failed_runs: int
    rows_written: int
    admitted: tuple[PipelineRunId, ...]
    live: tuple[PipelineRunId, ...]
    updated_at: datetime


@dataclass(frozen=True)
class Usage:
    """The last days that have a row, the newest first; `today` is the day asked about."""

    today: date
    days: tuple[UsageDay, ...]

    @property
    def of_today(self) -> UsageDay | None:
        """Today's row, or None before the first run of the day."""
        return next((day for day in self.days if day.day == self.today), None)

    @property
    def runs_today(self) -> int:
        """Runs counted today."""
        return self.of_today.pipeline_runs if self.of_today else 0

    @property
    def live(self) -> tuple[PipelineRunId, ...]:
        """Every live run, also one that began before midnight."""
        return tuple(run for day in self.days for run in day.live)

    def idle(self, run: PipelineRunId, now: datetime) -> timedelta:
        """How long ago the row with this live run was changed last: longer than since the run was admitted it is not."""
        return min((now - day.updated_at for day in self.days if run in day.live), default=timedelta())


class Verdict(StrEnum):
    """What becomes of a request for a run."""

    ADMITTED = "ADMITTED"
    NO_ROW = "NO_ROW"
    DAY_USED_UP = "DAY_USED_UP"
    ALL_PLACES_TAKEN = "ALL_PLACES_TAKEN"
    FREE = "FREE"


class Fate(StrEnum):
    """What becomes of a live run whose place somebody else wants."""

    STAYS = "STAYS"
    ENDED = "ENDED"
    LOST = "LOST"
    NEVER_BEGAN = "NEVER_BEGAN"


def judge(usage: Usage, run: PipelineRunId, limits: PlanLimits) -> Verdict:
    """Whether `run` is admitted already, may be, or why not."""
    if any(run in day.admitted for day in usage.days):
        return Verdict.ADMITTED
    if usage.of_today is None:
        return Verdict.NO_ROW
    if usage.runs_today >= limits.runs_per_day:
        return Verdict.DAY_USED_UP
    if len(usage.live) >= limits.concurrent_runs:
        return Verdict.ALL_PLACES_TAKEN
    return Verdict.FREE


def fate(*, has_ended: bool, dagster_runs: Sequence[bool] | None, idle: timedelta) -> Fate:
    """What becomes of a live run.

    Args:
        has_ended: the history says so.
        dagster_runs: of each Dagster run of it, whether it is finished; None if Dagster could not be asked.
        idle: how long nothing has happened in the tenant's count.
    """
    if has_ended:
        return Fate.ENDED
    if dagster_runs is None:  # unknown is not dead
        return Fate.STAYS
    if not dagster_runs:
        return Fate.NEVER_BEGAN if idle > LAUNCH_PATIENCE else Fate.STAYS
    return Fate.LOST if all(dagster_runs) else Fate.STAYS


def resets_at(now: datetime) -> datetime:
    """The midnight (UTC) at which the day's count begins anew."""
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)


def day_used_up(limits: PlanLimits, used: int, now: datetime) -> TransientError:
    """The refusal of a run beyond the plan's runs a day."""
    reset = resets_at(now)
    return TransientError(
        ErrorCode.QUOTA_EXCEEDED,
        f"Start it after {reset:%Y-%m-%d %H:%M} UTC, or ask for a larger plan: all {limits.runs_per_day} runs of today "
        "are used.",
        {
            "limit": "runs_per_day",
            "allowed": limits.runs_per_day,
            "used": used,
            "resets_at": reset.isoformat(),
        },
        retry_after=math.ceil((reset - now).total_seconds()),
    )


def places_taken(limits: PlanLimits, usage: Usage, now: datetime) -> TransientError:
    """The refusal of a run beyond the plan's runs at once."""
    return TransientError(
        ErrorCode.QUOTA_EXCEEDED,
        f"Start it when one of your runs has ended: {len(usage.live)} are live and the plan allows "
        f"{limits.concurrent_runs} at once.",
        {
            "limit": "concurrent_runs",
            "allowed": limits.concurrent_runs,
            "live_runs": list(usage.live),
            "resets_at": resets_at(now).isoformat(),
        },
        retry_after=RETRY_WHEN_FULL_SECONDS,
    )
