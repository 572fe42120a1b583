"""When the control plane is backed up by itself."""

import dagster as dg

from convergence_orchestration.warehouse.backups.jobs import backup_job

# RUNNING from the start: a backup that somebody has to switch on is not there on the day it is needed
daily_backup = dg.ScheduleDefinition(
    name="daily_control_plane_backup",
    job=backup_job,
    cron_schedule="43 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    run_config={"ops": {"control_plane_backup": {"config": {"reason": "daily"}}}},
    description="Once a day the central tables, away from the hour at which everybody else's jobs begin.",
)


def backup_schedules() -> list[dg.ScheduleDefinition]:
    """What `definitions.py` merges."""
    return [daily_backup]
