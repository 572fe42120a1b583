"""When the administrators' keys are looked after by themselves."""

import dagster as dg

from convergence_orchestration.environment.jobs import admin_key_rotation
from convergence_orchestration.environment.resources import Environments


@dg.schedule(
    name="admin_key_rotation_check",
    job=admin_key_rotation,
    cron_schedule="41 4 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Once a day: keys that are due are rotated, and what nobody may use any more is disabled.",
)
def admin_key_rotation_check(environments: Environments) -> dg.RunRequest:
    """A run for this code location's own environment."""
    return dg.RunRequest(partition_key=environments.own)


def environment_schedules() -> list[dg.ScheduleDefinition]:
    """What `definitions.py` merges."""
    return [admin_key_rotation_check]
