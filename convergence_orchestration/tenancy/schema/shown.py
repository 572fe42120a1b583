"""Differences, plans and outcomes as rows of text, for whoever shows them.

What belongs here: choosing and wording. Dagster's tables are made of it in `assets.py`.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from convergence_orchestration.tenancy.schema.fleet import tenant_of
from convergence_orchestration.tenancy.schema.plans import TenantPlan
from convergence_orchestration.tenancy.schema.rollout import TenantOutcome
from convergence_orchestration.warehouse.fleet import FleetDrift
from convergence_orchestration.warehouse.migrating import statement

MOST_ROWS: Final = 100
"""Rows of a table in metadata; the whole count stands beside it."""

DIFFERENCE_COLUMNS: Final = ("tenant", "table", "column", "declared", "found")
STATEMENT_COLUMNS: Final = ("tenant", "table", "version", "statement")
REFUSAL_COLUMNS: Final = ("tenant", "table", "column", "reason")
FAILURE_COLUMNS: Final = ("tenant", "reason")

type Rows = Iterator[tuple[str, ...]]


def first(rows: Rows) -> list[tuple[str, ...]]:
    """As many as are shown."""
    return list(islice(rows, MOST_ROWS))


def difference_rows(drift: FleetDrift) -> Rows:
    """Each difference of the fleet."""
    return (
        (tenant_of(dataset.dataset_id), each.table, each.column, each.declared, each.found)
        for dataset in drift.drifting
        for each in dataset.differences
    )


def statement_rows(project: str, plans: Iterable[TenantPlan]) -> Rows:
    """Each statement that would be run."""
    return (
        (
            each.tenant_id,
            table.spec.name,
            str(table.spec.version),
            statement(project, each.dataset_id, table.spec, change),
        )
        for each in plans
        for table in each.tables
        for change in table.changes
    )


def refusal_rows(plans: Iterable[TenantPlan]) -> Rows:
    """Each difference that is left as it is, and why."""
    return (
        (each.tenant_id, table.spec.name, refusal.column, refusal.reason)
        for each in plans
        for table in each.tables
        for refusal in table.refusals
    )


def failure_rows(outcomes: Iterable[TenantOutcome]) -> Rows:
    """Each tenant that failed, and why."""
    return ((each.tenant_id, each.failure) for each in outcomes if each.failure is not None)
