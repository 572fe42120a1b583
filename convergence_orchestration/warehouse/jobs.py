"""The job that makes an empty project into a platform."""

from typing import TYPE_CHECKING

import dagster as dg

from convergence_orchestration.warehouse.assets import CENTRAL_GROUP, ENVIRONMENT_GROUP, CentralTablesConfig

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

bootstrap_job = dg.define_asset_job(
    name="bootstrap",
    selection=dg.AssetSelection.groups(ENVIRONMENT_GROUP, CENTRAL_GROUP),
    config=dg.RunConfig(ops={"central_tables": CentralTablesConfig()}),
    description=(
        "Makes what the platform stands on: the KMS key ring and key, the dataset `tenants`, its tables and views. What "
        "is there stays as it is, so it can be run at any time and finishes what an earlier run left. To begin anew, "
        "set force_recreate_dataset or force_recreate_tables: a snapshot is taken first."
    ),
)


def warehouse_jobs() -> list["UnresolvedAssetJobDefinition"]:
    """What `definitions.py` merges."""
    return [bootstrap_job]
