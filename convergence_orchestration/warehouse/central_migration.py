"""The central tables of an older installation brought up to the catalogue's version.

What belongs here: which tables, and the events about them. How one table is migrated is `migrating.py`; missing ones
are `bootstrap.py`'s, which makes their views too.
"""

from collections.abc import Sequence
from datetime import datetime

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.warehouse.catalogue import central_tables
from convergence_orchestration.warehouse.drift import WHOLE_TABLE
from convergence_orchestration.warehouse.found import found_by_metadata
from convergence_orchestration.warehouse.migrating import Migrated, migrate_table
from convergence_orchestration.warehouse.migration import Refusal, TablePlan, plan
from convergence_orchestration.warehouse.model import CENTRAL_DATASET, TableSpec
from convergence_orchestration.warehouse.schema_history import SchemaHistory, VersionEvent, VersionKind


def plan_central_tables(bigquery: BigQuery) -> list[TablePlan]:
    """What is to be done to each central table, the ones that are as declared included."""
    return [_plan(bigquery, spec) for spec in central_tables()]


def migrate_central_tables(
    bigquery: BigQuery, plans: Sequence[TablePlan], *, actor: str, run_id: str, now: datetime
) -> list[Migrated]:
    """Carry out the plans that change something, one after the other, and record each table's version.

    Raises:
        As `gcp.bigquery`; the tables before the one that failed are migrated, and the next call continues.
    """
    done = [migrate_table(bigquery, CENTRAL_DATASET, each.spec) for each in plans if each.is_needed]
    changed = {each.plan.spec.name: each for each in done}
    events = [
        VersionEvent(
            dataset_id=CENTRAL_DATASET,
            spec=each.spec,
            kind=VersionKind.MIGRATED if each.spec.name in changed else VersionKind.FOUND,
            actor=actor,
            run_id=run_id,
            recorded_at=now,
            statement="; ".join(changed[each.spec.name].statements) if each.spec.name in changed else "",
        )
        for each in plans
        if not each.refusals and _is_as_declared(changed.get(each.spec.name))
    ]
    history = SchemaHistory(bigquery)
    history.append(events, known=history.event_ids(CENTRAL_DATASET))
    return done


def _plan(bigquery: BigQuery, spec: TableSpec) -> TablePlan:
    found = found_by_metadata(bigquery.get_table(CENTRAL_DATASET, spec.name))
    if found is None:
        return TablePlan(spec, refusals=(Refusal(WHOLE_TABLE, "Run the job `bootstrap`: it is missing."),))
    return plan(spec, found)


def _is_as_declared(migrated: Migrated | None) -> bool:
    return migrated is None or migrated.is_as_declared
