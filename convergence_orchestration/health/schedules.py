"""When the platform's health is looked at by itself."""

import dagster as dg

from convergence_orchestration.health.jobs import health_check

_LIVES = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


@dg.schedule(
    name="health_check_schedule",
    job=health_check,
    cron_schedule="* * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every minute, unless the round before is still under way: rounds do not pile up when something hangs.",
)
def health_check_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run, or none while one lives."""
    lives = dg.RunsFilter(job_name=health_check.name, statuses=[*_LIVES, dg.DagsterRunStatus.QUEUED])
    if context.instance.get_runs_count(lives):
        return dg.SkipReason("The round before is still under way.")
    return dg.RunRequest()


def health_schedules() -> list[dg.ScheduleDefinition]:
    """What `definitions.py` merges."""
    return [health_check_schedule]
