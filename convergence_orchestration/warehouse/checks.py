"""Dagster's checks that the real central tables are as the catalogue declares them.

What belongs here: asking BigQuery and showing. The comparison is `drift.py`.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import dagster as dg

from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.warehouse.assets import shown_table, table_key
from convergence_orchestration.warehouse.catalogue import central_tables
from convergence_orchestration.warehouse.drift import differences
from convergence_orchestration.warehouse.found import found_by_metadata
from convergence_orchestration.warehouse.migration import TablePlan, plan
from convergence_orchestration.warehouse.model import (
    CENTRAL_DATASET,
    FoundTable,
    SchemaDifference,
    TableSpec,
)

SCHEMA_CHECK: Final = "schema"


def _check_specs() -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(
            SCHEMA_CHECK,
            asset=table_key(spec),
            description=(
                f"The columns, modes, partitioning and clustering of {CENTRAL_DATASET}.{spec.name} are as declared in "
                f"warehouse/catalogue/central/{spec.name}.yaml."
            ),
        )
        for spec in central_tables()
    ]


@dg.multi_asset_check(
    name="central_schemas",
    specs=_check_specs(),
    can_subset=True,
    description="Compares the real schema of every selected central table with the declared one.",
)
def central_schemas(
    context: dg.AssetCheckExecutionContext, bigquery: BigQueryConnection
) -> Iterator[dg.AssetCheckResult]:
    """One result a table; a table that cannot be read fails the run and is not taken for a wrong one."""
    selected = {key.asset_key for key in context.selected_asset_check_keys}
    with reported_failures():
        client = bigquery.bigquery()
        for spec in central_tables():
            if table_key(spec) in selected:
                found = found_by_metadata(client.get_table(CENTRAL_DATASET, spec.name))
                yield _result(spec, found)


def _result(spec: TableSpec, real: FoundTable | None) -> dg.AssetCheckResult:
    found = differences(spec, real)
    return dg.AssetCheckResult(
        asset_key=table_key(spec),
        check_name=SCHEMA_CHECK,
        passed=not found,
        severity=dg.AssetCheckSeverity.ERROR,
        description=_what_to_do(plan(spec, real), found),
        metadata={"differences": _as_table(found)} if found else {"columns": len(spec.columns)},
    )


def _what_to_do(planned: TablePlan, found: Sequence[SchemaDifference]) -> str:
    name = f"{CENTRAL_DATASET}.{planned.spec.name}"
    if not found:
        return "As declared."
    if planned.creates:
        return f"Run the job `bootstrap`: {name} is missing."
    differs = f"it differs in {', '.join(difference.column for difference in found)}"
    if planned.is_needed:
        return (
            f"Run the job `migrate_central_tables`, which changes {name} without losing anything: {differs}."
        )
    return (
        f"Run the job `bootstrap` for {name} alone with force_recreate_tables (a snapshot keeps "
        f"its rows), or change the table or its declaration: {differs}."
    )


def _as_table(found: Sequence[SchemaDifference]) -> dg.TableMetadataValue:
    return shown_table(
        ("table", "column", "declared", "found"),
        [(each.table, each.column, each.declared, each.found) for each in found],
    )


def warehouse_checks() -> list[dg.AssetChecksDefinition]:
    """What `definitions.py` merges."""
    return [central_schemas]
