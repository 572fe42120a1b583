"""When the tenants' schemas are looked at by themselves."""

import dagster as dg

from convergence_orchestration.tenancy.schema.jobs import report_schema_drift

# RUNNING from the start: a report that somebody has to switch on is not there on the day it is needed, and it costs one
# query a day.
daily_schema_drift = dg.ScheduleDefinition(
    name="daily_schema_drift",
    job=report_schema_drift,
    cron_schedule="17 5 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Once a day, away from the hour at which everybody else's jobs begin.",
)


def tenant_schema_schedules() -> list[dg.ScheduleDefinition]:
    """What `definitions.py` merges."""
    return [daily_schema_drift]
