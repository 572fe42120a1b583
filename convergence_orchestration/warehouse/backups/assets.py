"""The backup of the control plane as a Dagster asset.

What belongs here: what Dagster shows and asks. What is done is in `taking.py`.
"""

from datetime import UTC
from typing import Any, Final

import dagster as dg
from pydantic import Field

from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.warehouse.assets import shown_table, table_key
from convergence_orchestration.warehouse.backups.model import BACKUP_DATASET, Backup, Scope
from convergence_orchestration.warehouse.backups.resources import BackupPolicy
from convergence_orchestration.warehouse.backups.shown import COPY_COLUMNS, copy_rows
from convergence_orchestration.warehouse.backups.taking import take_backup

BACKUP_GROUP: Final = "backups"
BACKUP_KEY: Final = dg.AssetKey("control_plane_backup")


class BackupConfig(dg.Config):
    """What the launchpad asks. As it stands, the central tables are backed up."""

    tenant_id: str = Field(
        default="",
        description="A tenant whose own tables are backed up instead, for example `acmecorp`; empty: the central tables.",
    )
    reason: str = Field(default="asked for", description="Why, for whoever reads the list of backups.")


@dg.asset(
    key=BACKUP_KEY,
    group_name=BACKUP_GROUP,
    kinds={"bigquery", "snapshot"},
    deps=[table_key(spec) for spec in Scope().specs],
    description=(
        "A copy of every central table, or of one tenant's, in the dataset `tenants_backups`, counted and summed, and deleted "
        "by BigQuery after BACKUP_RETENTION_DAYS. It has no `sealed_keys`: what is deleted there must not come back."
    ),
)
def control_plane_backup(
    context: dg.AssetExecutionContext,
    config: BackupConfig,
    bigquery: BigQueryConnection,
    backups: BackupPolicy,
) -> dg.MaterializeResult[None]:
    """One backup for each run; a run that Dagster tries again finishes the one that it began."""
    with reported_failures():
        scope = Scope.of(config.tenant_id)
        asked = backups.asked(scope, context.run, context.instance, config.reason)
        client = bigquery.bigquery()
        backup = take_backup(client, asked)
    context.log.info("Backed up %s as %s.", scope.in_words, backup.name)
    return dg.MaterializeResult(metadata=_metadata(backup, client.console_url(BACKUP_DATASET)))


def _metadata(backup: Backup, link: str) -> dict[str, Any]:
    late = [table.name for table in backup.tables if table.is_query_copy]
    return {
        "backup": backup.name,
        "of": backup.scope.in_words,
        "taken_at": dg.MetadataValue.timestamp(backup.taken_at.astimezone(UTC)),
        "expires_at": dg.MetadataValue.timestamp(backup.expires_at.astimezone(UTC)),
        "dagster/row_count": backup.rows,
        "tables": shown_table(COPY_COLUMNS, copy_rows(backup)),
        "copied_by_query": ", ".join(late) or "none",
        "left_out": "sealed_keys" if backup.scope == Scope() else "nothing",
        "link": dg.MetadataValue.url(link),
    }


def backup_assets() -> list[dg.AssetsDefinition]:
    """What `definitions.py` merges."""
    return [control_plane_backup]
