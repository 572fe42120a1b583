"""What a migration says in `schema_versions`: an event for each table of a tenant that is as declared.

What belongs here: the events of tenants' tables. The table and its store are `warehouse/schema_history.py`.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.schema.rollout import TenantOutcome
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration.warehouse.migrating import Migrated
from convergence_orchestration.warehouse.model import TENANT_DATASET_PREFIX, TableSpec, tenant_dataset
from convergence_orchestration.warehouse.schema_history import SchemaHistory, VersionEvent, VersionKind


class VersionRecorder:
    """Records versions for one run; what was recorded by an earlier one is left out.

    A run that is killed behind a change and before its event leaves the event to the next run, which finds the table as
    declared and says so.

    Attributes:
        actor, run_id: who asked, and the Dagster run.
        clock: the time of an event.
    """

    def __init__(self, bigquery: BigQuery, actor: str, run_id: str, clock: Callable[[], datetime]) -> None:
        self._history = SchemaHistory(bigquery)
        self._known = self._history.event_ids(TENANT_DATASET_PREFIX)
        self._actor = actor
        self._run_id = run_id
        self._clock = clock

    def found(self, tenants: Iterable[TenantId]) -> int:
        """Record that every table of these tenants is as declared; how many events that took."""
        return self._append(
            self._event(tenant_id, spec, VersionKind.FOUND)
            for tenant_id in tenants
            for spec in tenant_tables()
        )

    def migrated(self, outcomes: Iterable[TenantOutcome]) -> int:
        """Record the tables that are as declared now; how many events that took."""
        return self._append(event for outcome in outcomes for event in self._of(outcome))

    def _of(self, outcome: TenantOutcome) -> Iterator[VersionEvent]:
        for table in outcome.tables:
            if table.is_as_declared:
                yield self._event(
                    outcome.tenant_id, table.plan.spec, _kind(table), "; ".join(table.statements)
                )

    def _event(
        self, tenant_id: TenantId, spec: TableSpec, kind: VersionKind, statement: str = ""
    ) -> VersionEvent:
        return VersionEvent(
            dataset_id=tenant_dataset(tenant_id),
            spec=spec,
            kind=kind,
            actor=self._actor,
            run_id=self._run_id,
            recorded_at=self._clock(),
            statement=statement,
        )

    def _append(self, events: Iterable[VersionEvent]) -> int:
        return self._history.append(events, self._known)


def _kind(table: Migrated) -> VersionKind:
    if table.plan.creates:
        return VersionKind.CREATED
    return VersionKind.MIGRATED if table.statements else VersionKind.FOUND
