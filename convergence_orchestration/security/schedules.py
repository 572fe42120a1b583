"""When the review happens by itself."""

import dagster as dg

from convergence_orchestration.environment.resources import Environments
from convergence_orchestration.security.jobs import review_iam


@dg.schedule(
    name="quarterly_iam_review",
    job=review_iam,
    cron_schedule="13 5 1 1,4,7,10 *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="On the first day of each quarter: who may do what, beside who shall.",
)
def quarterly_iam_review(environments: Environments) -> dg.RunRequest:
    """A run for this code location's own environment."""
    return dg.RunRequest(partition_key=environments.own)


def security_schedules() -> list[dg.ScheduleDefinition]:
    """What `definitions.py` merges."""
    return [quarterly_iam_review]
