"""The schedules of tenancy: each hour, delete what offboarded tenants have left when their retention period is over."""

import dagster as dg

from convergence_orchestration.tenancy.jobs import delete_expired_tenants

hourly_tenant_retention = dg.ScheduleDefinition(
    name="hourly_tenant_retention",
    job=delete_expired_tenants,
    cron_schedule="17 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="A tenant is deleted within the hour after its retention period ends.",
)


def tenancy_schedules() -> list[dg.ScheduleDefinition]:
    """The schedules of this domain."""
    return [hourly_tenant_retention]
