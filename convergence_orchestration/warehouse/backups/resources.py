"""What backups need besides BigQuery, as a Dagster resource.

What belongs here: the settings about backups, none of them secret, and what a run says of when it was asked for.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg
from pydantic import Field

from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.backups.model import Scope
from convergence_orchestration.warehouse.backups.taking import Asked

_RETRY_TAG: Final = "dagster/retry_number"


class BackupPolicy(dg.ConfigurableResource["BackupPolicy"]):
    """Where backups are taken and how long they are kept."""

    environment: str = Field(description="The environment of this code location, which a backup remembers.")
    retention_days: int = Field(description="Days after which BigQuery deletes a backup by itself.")

    def asked(self, scope: Scope, run: dg.DagsterRun, instance: dg.DagsterInstance, reason: str) -> Asked:
        """What this run asks for: the same each time that Dagster tries the run again by itself."""
        is_retry = _RETRY_TAG in run.tags
        run_id = (run.root_run_id if is_retry else None) or run.run_id
        return Asked(
            scope=scope,
            environment=self.environment,
            asked_at=created_at(instance, run_id),
            run_id=run_id,
            kept=timedelta(days=self.retention_days),
            reason=reason,
        )


def created_at(instance: dg.DagsterInstance, run_id: str) -> datetime:
    """When a run was made, UTC, to the second; now for a run that Dagster has forgotten."""
    record = instance.get_run_record_by_id(run_id)
    made = record.create_timestamp if record else datetime.now(UTC)
    return made.astimezone(UTC).replace(microsecond=0)


def backup_resources(settings: Settings) -> dict[str, dg.ConfigurableResource[Any]]:
    """The resource `backups` for these settings."""
    return {
        "backups": BackupPolicy(
            environment=settings.environment.value, retention_days=settings.backup_retention_days
        )
    }
