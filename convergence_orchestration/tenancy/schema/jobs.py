"""The jobs about the tenants' schemas: looking, and migrating.

What belongs here: which assets a job makes. They are in `assets.py`.
"""

from typing import TYPE_CHECKING

import dagster as dg

from convergence_orchestration.tenancy.schema.assets import DRIFT_KEY, SCHEMA_KEY, MigrateConfig

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

report_schema_drift = dg.define_asset_job(
    name="report_schema_drift",
    selection=dg.AssetSelection.assets(DRIFT_KEY),
    description="Compares every tenant's real tables with the catalogue by one query; changes nothing.",
)

migrate_tenants = dg.define_asset_job(
    name="migrate_tenants",
    selection=dg.AssetSelection.assets(SCHEMA_KEY),
    config=dg.RunConfig(ops={"tenant_schema": MigrateConfig()}),
    description=(
        "Brings the tables of the chosen tenants up to the catalogue's version, all of them in one run: choose all "
        "partitions. Shows what it would do unless dry_run is set to false; adds and widens, destroys nothing."
    ),
)


def tenant_schema_jobs() -> "list[UnresolvedAssetJobDefinition]":
    """What `definitions.py` merges."""
    return [report_schema_drift, migrate_tenants]
