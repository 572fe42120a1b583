"""The jobs on the platform's own tables: making them, and bringing them up to the catalogue's version.

What belongs here: config, and reporting to Dagster. What is done is `bootstrap.py` and `central_migration.py`.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.warehouse.assets import (
    CENTRAL_GROUP,
    CentralTablesConfig,
    column_schema,
    shown_table,
    table_key,
)
from convergence_orchestration.warehouse.central_migration import migrate_central_tables, plan_central_tables
from convergence_orchestration.warehouse.migrating import Migrated, statement
from convergence_orchestration.warehouse.migration import TablePlan
from convergence_orchestration.warehouse.model import CENTRAL_DATASET

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

bootstrap_job = dg.define_asset_job(
    name="bootstrap",
    selection=dg.AssetSelection.groups(CENTRAL_GROUP),
    config=dg.RunConfig(ops={"central_tables": CentralTablesConfig()}),
    description=(
        "Makes what the platform keeps its records in: the dataset `tenants`, its tables and views. What "
        "is there stays as it is, so it can be run at any time and finishes what an earlier run left. To begin anew, "
        "set force_recreate_dataset or force_recreate_tables: a snapshot is taken first."
    ),
)


class MigrateCentralConfig(dg.Config):
    """What the launchpad asks."""

    dry_run: bool = Field(
        default=True,
        description="Only show what would be done, and what is refused. Set it to false to do it.",
    )


@dg.op(
    description="Adds new columns to the central tables and widens those that the catalogue widened. A table with any "
    "other difference is left as it is, with one sentence why.",
)
def migrate_central(
    context: dg.OpExecutionContext, config: MigrateCentralConfig, bigquery: BigQueryConnection
) -> Iterator[Any]:
    """Plans from the real tables each time, so a run that was cut off is finished by the next one."""
    with reported_failures():
        warehouse = bigquery.bigquery()
        plans = plan_central_tables(warehouse)
        yield dg.Output(None, metadata=_shown(warehouse.project, plans, dry_run=config.dry_run))
        if config.dry_run:
            return
        done = migrate_central_tables(
            warehouse, plans, actor="migrate_central_tables", run_id=context.run_id, now=datetime.now(UTC)
        )
        yield from (_materialization(migrated) for migrated in done if migrated.is_as_declared)
        _check(done)


@dg.job(
    name="migrate_central_tables",
    description="Brings the tables of the dataset `tenants` up to the catalogue's version: new columns, wider types. "
    "Shows what it would do unless dry_run is set to false; destroys nothing.",
)
def migrate_central_job() -> None:
    """The one op, so that it can be launched by name."""
    migrate_central()


def _shown(project: str, plans: Sequence[TablePlan], *, dry_run: bool) -> dict[str, Any]:
    statements = [
        (each.spec.name, str(each.spec.version), statement(project, CENTRAL_DATASET, each.spec, change))
        for each in plans
        for change in each.changes
    ]
    refused = [
        (each.spec.name, refusal.column, refusal.reason) for each in plans for refusal in each.refusals
    ]
    return {
        "dry_run": dry_run,
        "tables": len(plans),
        "statements": shown_table(("table", "version", "statement"), statements),
        "refused": shown_table(("table", "column", "reason"), refused),
    }


def _materialization(migrated: Migrated) -> dg.AssetMaterialization:
    spec = migrated.plan.spec
    return dg.AssetMaterialization(
        asset_key=table_key(spec),
        metadata={
            "action": "migrated",
            "version": spec.version,
            "statements": "\n".join(migrated.statements),
            "dagster/column_schema": column_schema(spec),
        },
    )


def _check(done: Sequence[Migrated]) -> None:
    wrong = sorted(each.plan.spec.name for each in done if not each.is_as_declared)
    if wrong:
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Look at {', '.join(wrong)}: not as declared although every statement went through.",
            {"tables": wrong},
        )


def warehouse_jobs() -> "list[UnresolvedAssetJobDefinition | dg.JobDefinition]":
    """What `definitions.py` merges."""
    return [bootstrap_job, migrate_central_job]
