"""Admitting a pipeline run: counted once, never beyond the plan, however many processes ask at the same moment.

What belongs here: the loop of looking and counting. Who is let in is decided by `quota.py` and, at the last, by the one
statement `usage_count.sql`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.tenancy.model import PlanLimits
from convergence_orchestration.tenancy.pipelines.model import PipelineRunId
from convergence_orchestration.tenancy.pipelines.quota import Usage, Verdict, judge
from convergence_orchestration.tenancy.pipelines.usage import UsageDays

_MOST_LOOKS = 12


@dataclass(frozen=True)
class Admission:
    """What was decided at `at`, on which usage; `is_new` if it was this call that counted the run."""

    verdict: Verdict
    usage: Usage
    at: datetime
    is_new: bool


def admit(
    days: UsageDays, run: PipelineRunId, limits: PlanLimits, clock: Callable[[], datetime]
) -> Admission:
    """Count the run if the plan allows, and say what was decided: ADMITTED, DAY_USED_UP or ALL_PLACES_TAKEN.

    The count is the one statement that changes it; the look before spares that statement to a tenant that asks in vain,
    the look behind says what is left.

    Raises:
        ConvergenceError: as `UsageDays`; the same call counts nothing twice.
    """
    is_new = False
    for _ in range(_MOST_LOOKS):
        now = clock()
        usage = days.recent(now)
        verdict = judge(usage, run, limits)
        if verdict is Verdict.NO_ROW:
            days.open(now)
        elif verdict is Verdict.FREE:
            is_new = days.count(run, limits, now) or is_new
        else:
            return Admission(verdict, usage, now, is_new)
    raise TransientError(
        ErrorCode.UNAVAILABLE,
        "Send it again in a few seconds: others of your runs begin and end at the same moment.",
    )
