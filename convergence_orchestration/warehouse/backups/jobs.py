"""Dagster's jobs `backup_control_plane` and `restore_control_plane`.

What belongs here: what the launchpad asks for and what a run shows. What is done is in `taking.py` and `restoring.py`.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.warehouse.assets import shown_table, table_key
from convergence_orchestration.warehouse.backups.assets import BACKUP_KEY
from convergence_orchestration.warehouse.backups.checking import Wanted
from convergence_orchestration.warehouse.backups.compared import ComparedTable, Permissions
from convergence_orchestration.warehouse.backups.model import Backup, Scope
from convergence_orchestration.warehouse.backups.resources import BackupPolicy
from convergence_orchestration.warehouse.backups.restoring import RestoredTable, begin, planned, restored
from convergence_orchestration.warehouse.backups.shown import COMPARED_COLUMNS, compared_rows
from convergence_orchestration.warehouse.backups.taking import take_backup

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

backup_job = dg.define_asset_job(
    name="backup_control_plane",
    selection=[BACKUP_KEY],
    description="Copies the central tables, or one tenant's, into the dataset `tenants_backups`. A backup of which only a part "
    "could be taken is in no list.",
)


class RestoreConfig(dg.Config):
    """What the launchpad asks. As it stands, it only shows what would be done."""

    backup: str = Field(description="The backup's name, from `convergence backup list`.")
    tenant_id: str = Field(
        default="", description="The tenant whose backup it is; empty: it is one of the central tables."
    )
    tables: list[str] = Field(default=[], description="Tables to restore; none: all of the backup.")
    apply: bool = Field(default=False, description="Do it. Until it is true, nothing is changed.")
    confirm: str = Field(default="", description="The backup's name once more, when `apply` is true.")
    despite_requests: bool = Field(
        default=False,
        description="Restore although requests about tenants are under way, which write into the same tables.",
    )
    recreate_tables: bool = Field(
        default=False,
        description="Delete tables that are not as the catalogue declares them and make them anew with their rows; columns "
        "that are not declared are lost. Stop the API first: what it appends meanwhile may be lost.",
    )
    readmit_keys: bool = Field(
        default=False,
        description="Put events of keys back that the ledger has lost, although keys may have been revoked since the backup "
        "which are let in again then.",
    )

    def wanted(self, environment: str) -> Wanted:
        """What is to be restored."""
        allowed = Permissions(self.recreate_tables, self.readmit_keys)
        return Wanted(
            self.backup, environment, self.tenant_id, tuple(self.tables), self.despite_requests, allowed
        )


@dg.op(
    description="Compares every table with the backup and shows what would be done. With `apply` it takes a backup of the "
    "present first, brings the rows back and compares again.",
)
def restore_tables(
    context: dg.OpExecutionContext,
    config: RestoreConfig,
    bigquery: BigQueryConnection,
    backups: BackupPolicy,
) -> Iterator[Any]:
    """What happened stays: rows of logs are only put back; states go back. Tried again, it does what is left."""
    with reported_failures():
        warehouse, wanted = bigquery.bigquery(), config.wanted(backups.environment)
        now = datetime.now(UTC)
        if not config.apply:
            _, compared = planned(warehouse, wanted, now)
            yield dg.Output(None, metadata=_shown(compared, wanted, dry_run=True))
            return

        def of_the_present(scope: Scope) -> Backup:
            reason = f"before {wanted.backup} was restored"
            return take_backup(warehouse, backups.asked(scope, context.run, context.instance, reason))

        begun = begin(warehouse, wanted, config.confirm, now, of_the_present)
        context.log.warning("The present before this restore is kept as %s.", begun.present.name)
        done = []
        for each in restored(warehouse, begun, now):
            done.append(each.after)
            context.log.info("Table %s is restored.", each.before.spec.name)
            if begun.backup.scope == Scope():
                yield _materialization(each, begun.backup.name, begun.present.name)
        metadata = _shown(done, wanted, dry_run=False)
        yield dg.Output(None, metadata={**metadata, "present_kept_as": begun.present.name})


@dg.job(
    name="restore_control_plane",
    description="Restores the central tables, or one tenant's, from a backup: a dry run unless `apply` is true and the "
    "backup's name is typed twice. Revoked keys stay revoked and deleted tenants deleted.",
)
def restore_job() -> None:
    """The one op, so that it can be launched by name."""
    restore_tables()


def _shown(compared: Sequence[ComparedTable], wanted: Wanted, *, dry_run: bool) -> dict[str, Any]:
    return {
        "backup": wanted.backup,
        "dry_run": dry_run,
        "tables": shown_table(COMPARED_COLUMNS, compared_rows(compared, wanted.allowed)),
    }


def _materialization(done: RestoredTable, backup: str, present: str) -> dg.AssetMaterialization:
    before = done.before.counts
    return dg.AssetMaterialization(
        asset_key=table_key(done.before.spec),
        metadata={
            "action": "restored",
            "backup": backup,
            "present_kept_as": present,
            "put_back": before.missing,
            "changed": before.changed,
            "dagster/row_count": done.after.counts.rows_now,
        },
    )


def backup_jobs() -> "list[UnresolvedAssetJobDefinition | dg.JobDefinition]":
    """What `definitions.py` merges."""
    return [backup_job, restore_job]
