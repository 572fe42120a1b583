"""The one Dagster definitions function: merges what each domain offers.

What belongs here: assembly alone. A domain's assets, checks and jobs live in the domain; a test replaces a resource
by `build_definitions(settings, {"bigquery": ...})` and patches nothing.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from convergence_orchestration.audit.resources import RunTrails, audit_resources, audited_executor
from convergence_orchestration.doctor.jobs import doctor_jobs
from convergence_orchestration.environment.assets import environment_assets
from convergence_orchestration.environment.jobs import environment_jobs
from convergence_orchestration.environment.resources import environment_resources
from convergence_orchestration.environment.schedules import environment_schedules
from convergence_orchestration.gcp.resources import settings_resources
from convergence_orchestration.health.alerting.jobs import alert_jobs
from convergence_orchestration.health.alerting.resources import alert_resources
from convergence_orchestration.health.alerting.sensors import alert_sensors
from convergence_orchestration.health.assets import health_assets
from convergence_orchestration.health.jobs import health_jobs
from convergence_orchestration.health.levels.assets import levels_assets, levels_jobs, levels_schedules
from convergence_orchestration.health.resources import health_resources
from convergence_orchestration.health.schedules import health_schedules
from convergence_orchestration.keys.jobs import key_jobs
from convergence_orchestration.keys.resources import key_resources
from convergence_orchestration.keys.upkeep.jobs import upkeep_jobs
from convergence_orchestration.keys.upkeep.schedules import upkeep_schedules
from convergence_orchestration.releases.assets import release_assets
from convergence_orchestration.releases.jobs import release_jobs
from convergence_orchestration.releases.report.assets import report_assets, report_jobs
from convergence_orchestration.releases.report.sensors import report_sensors
from convergence_orchestration.releases.resources import release_resources
from convergence_orchestration.releases.steering.jobs import steering_jobs
from convergence_orchestration.releases.traffic.jobs import traffic_jobs
from convergence_orchestration.releases.traffic.sensors import release_sensors
from convergence_orchestration.security.assets import security_assets
from convergence_orchestration.security.jobs import security_jobs
from convergence_orchestration.security.schedules import security_schedules
from convergence_orchestration.settings import Settings, load_settings
from convergence_orchestration.suites.checks import suite_checks, suite_jobs
from convergence_orchestration.tenancy.assets import tenant_assets
from convergence_orchestration.tenancy.by_hand.jobs import tenancy_forms
from convergence_orchestration.tenancy.jobs import tenancy_jobs
from convergence_orchestration.tenancy.pipelines.jobs import pipeline_jobs
from convergence_orchestration.tenancy.resources import tenancy_resources
from convergence_orchestration.tenancy.schedules import tenancy_schedules
from convergence_orchestration.tenancy.schema.assets import tenant_schema_assets
from convergence_orchestration.tenancy.schema.jobs import tenant_schema_jobs
from convergence_orchestration.tenancy.schema.schedules import tenant_schema_schedules
from convergence_orchestration.tenancy.sensors import tenancy_sensors
from convergence_orchestration.warehouse.assets import warehouse_assets
from convergence_orchestration.warehouse.backups.assets import backup_assets
from convergence_orchestration.warehouse.backups.jobs import backup_jobs
from convergence_orchestration.warehouse.backups.resources import backup_resources
from convergence_orchestration.warehouse.backups.schedules import backup_schedules
from convergence_orchestration.warehouse.checks import warehouse_checks
from convergence_orchestration.warehouse.jobs import warehouse_jobs


def build_definitions(
    settings: Settings, overrides: Mapping[str, dg.ConfigurableResource[Any]] | None = None
) -> dg.Definitions:
    """Everything this code location offers, with the resources of `settings` unless `overrides` names another."""
    resources: dict[str, Any] = {
        **settings_resources(settings),
        **environment_resources(settings),
        **backup_resources(settings),
        **tenancy_resources(settings),
        **release_resources(settings),
        **health_resources(settings),
        **alert_resources(settings),
        **key_resources(settings),  # the domains do not know each other
        **(overrides or {}),
    }
    trails = RunTrails(resources["bigquery"], settings.environment)
    return dg.Definitions(
        assets=[
            *environment_assets(),
            *warehouse_assets(),
            *backup_assets(),
            *tenant_assets(),
            *tenant_schema_assets(),
            *release_assets(),
            *report_assets(),
            *health_assets(),
            *levels_assets(),
            *security_assets(),
        ],
        asset_checks=[*warehouse_checks(), *suite_checks()],
        jobs=[
            *environment_jobs(),
            *warehouse_jobs(),
            *backup_jobs(),
            *tenancy_jobs(),
            *tenancy_forms(),
            *tenant_schema_jobs(),
            *pipeline_jobs(),
            *key_jobs(),
            *upkeep_jobs(),
            *release_jobs(),
            *traffic_jobs(),
            *steering_jobs(),
            *report_jobs(),
            *health_jobs(),
            *levels_jobs(),
            *doctor_jobs(),
            *security_jobs(),
            *alert_jobs(),
            *suite_jobs(),
        ],
        sensors=[*tenancy_sensors(), *release_sensors(), *report_sensors(), *alert_sensors()],
        schedules=[
            *environment_schedules(),
            *backup_schedules(),
            *tenancy_schedules(),
            *tenant_schema_schedules(),
            *upkeep_schedules(),
            *health_schedules(),
            *levels_schedules(),
            *security_schedules(),
        ],
        resources={**audit_resources(trails), **resources},
        executor=audited_executor(trails),  # for every job that names no other
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `dg`, the web server, the daemon and the run workers load."""
    return build_definitions(load_settings())
