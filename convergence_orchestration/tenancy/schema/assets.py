"""The tenants' schemas as assets: the report on the whole fleet, and each tenant's own, which a migration brings about.

What belongs here: config, and reporting to Dagster. What is compared and done is beside it in this package.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.tenancy.assets import tenants_partitions
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.schema import shown
from convergence_orchestration.tenancy.schema.fleet import drift_of, served_tenants, tenant_of
from convergence_orchestration.tenancy.schema.plans import TenantPlan, in_turn, plans_for
from convergence_orchestration.tenancy.schema.recording import VersionRecorder
from convergence_orchestration.tenancy.schema.rollout import Rollout, TenantOutcome, roll_out
from convergence_orchestration.warehouse.assets import shown_table
from convergence_orchestration.warehouse.bootstrap import needs_bootstrap
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration.warehouse.fleet import FleetDrift
from convergence_orchestration.warehouse.model import MAX_CONCURRENT_CALLS

DRIFT_KEY = dg.AssetKey(["schema_drift"])
SCHEMA_KEY = dg.AssetKey(["tenant", "schema"])
NO_DRIFT = "no_drift"
ACTOR = "migrate_tenants"

type _Event = dg.AssetObservation | dg.AssetMaterialization


class MigrateConfig(dg.Config):
    """What the launchpad asks."""

    dry_run: bool = Field(
        default=True,
        description="Only show what would be done, and what is refused. Set it to false to do it.",
    )
    canary: str = Field(
        default="",
        description="The tenant that is migrated first and looked at again before any other is touched; empty: the first "
        "by id that needs it.",
    )
    batch_size: int = Field(default=50, ge=1, le=1000, description="Tenants between two records of progress.")
    concurrency: int = Field(
        default=MAX_CONCURRENT_CALLS, ge=1, le=MAX_CONCURRENT_CALLS, description="Tenants migrated at once."
    )
    max_failures: int = Field(
        default=10, ge=0, description="Once more tenants than this failed, the others are left as they are."
    )


@dg.asset(
    key=DRIFT_KEY,
    group_name="reports",
    kinds={"bigquery"},
    check_specs=[
        dg.AssetCheckSpec(
            NO_DRIFT,
            asset=DRIFT_KEY,
            description="The tables of every active and suspended tenant are as the catalogue declares them.",
        )
    ],
    description=(
        "How the real tables of all tenants differ from the catalogue, found by one query of INFORMATION_SCHEMA. A "
        "change of the last minutes may not show yet."
    ),
)
def schema_drift(
    context: dg.AssetExecutionContext, bigquery: BigQueryConnection
) -> Iterator[dg.MaterializeResult[None]]:
    """A read that fails fails the run and reports nothing."""
    began = time.monotonic()
    with reported_failures(), needs_bootstrap():
        warehouse = bigquery.bigquery()
        drift = drift_of(warehouse, served_tenants(warehouse))
    context.log.info("%d of %d tenants differ.", len(drift.drifting), drift.datasets)
    yield dg.MaterializeResult(
        metadata={**_counts(drift), "duration_seconds": round(time.monotonic() - began, 3)},
        check_results=[_verdict(drift)],
    )


def _counts(drift: FleetDrift) -> dict[str, Any]:
    return {
        "tenants": drift.datasets,
        "tenants_that_differ": len(drift.drifting),
        "differences": sum(len(each.differences) for each in drift.drifting),
        "tables_compared": drift.tables,
        "columns_compared": drift.columns,
        "other_datasets": drift.others,
        "shown": shown_table(shown.DIFFERENCE_COLUMNS, shown.first(shown.difference_rows(drift))),
    }


def _verdict(drift: FleetDrift) -> dg.AssetCheckResult:
    """WARN if a migration mends it all, ERROR if a person has to decide."""
    plans = plans_for(drift)
    by_hand = [each.tenant_id for each in plans if each.is_refused]
    by_hand += [tenant_of(each.dataset_id) for each in drift.drifting if not each.has_tables]
    return dg.AssetCheckResult(
        check_name=NO_DRIFT,
        passed=not plans,
        severity=dg.AssetCheckSeverity.ERROR if by_hand else dg.AssetCheckSeverity.WARN,
        description=_what_to_do(len(plans), by_hand),
        metadata={"tenants_that_differ": len(plans), "not_to_be_migrated": len(by_hand)},
    )


def _what_to_do(differing: int, by_hand: Sequence[TenantId]) -> str:
    if not differing:
        return "As declared."
    if by_hand:
        return (
            f"Look at the tables of {by_hand[0]}: at {len(by_hand)} of {differing} tenants that differ a migration loses "
            "something or finds no tables. The job `migrate_tenants` says why, and mends the others."
        )
    return (
        f"Run the job `migrate_tenants`: it brings the {differing} tenants that differ up to the catalogue."
    )


@dg.multi_asset(
    name="tenant_schema",
    specs=[
        dg.AssetSpec(
            SCHEMA_KEY,
            group_name="tenant",
            kinds={"bigquery"},
            skippable=True,
            description="A tenant's tables are as the catalogue's present version declares them. A tenant whose tables "
            "are not is not materialized; why not stands in the observations.",
        )
    ],
    partitions_def=tenants_partitions,
    backfill_policy=dg.BackfillPolicy.single_run(),
    description=(
        "Compares the chosen tenants' tables with the catalogue and, unless dry_run is set, adds what is missing and "
        "widens what was widened: one tenant first, the others in batches. Whatever would lose something is refused."
    ),
)
def tenant_schema(
    context: dg.AssetExecutionContext, config: MigrateConfig, bigquery: BigQueryConnection
) -> Iterator[Any]:
    """One run over all chosen tenants, each materialized by name when it is as declared.

    Events are yielded, for Dagster keeps those that are logged only if the step ends well.
    """
    with reported_failures(), needs_bootstrap():
        warehouse = bigquery.bigquery()
        chosen, skipped = _chosen(context, warehouse)
        plans = plans_for(drift_of(warehouse, chosen))
        turns = in_turn(plans, TenantId(config.canary) if config.canary else None, chosen)
        yield _observation(_planned(warehouse.project, plans, chosen, skipped, dry_run=config.dry_run))
        differing = {each.tenant_id for each in plans}
        as_declared = [each for each in chosen if each not in differing]
        yield from _materializations(as_declared)
        if config.dry_run:
            return
        recorder = VersionRecorder(warehouse, ACTOR, context.run_id, lambda: datetime.now(UTC))
        recorder.found(as_declared)
        yield from _migrate(context, warehouse, turns, config, recorder)


def _chosen(context: dg.AssetExecutionContext, bigquery: BigQuery) -> tuple[list[TenantId], list[str]]:
    """The partitions that are tenants with tables to look after, and those that are not."""
    asked = set(context.partition_keys)
    chosen = [tenant_id for tenant_id in served_tenants(bigquery) if tenant_id in asked]
    return chosen, sorted(asked.difference(chosen))


def _planned(
    project: str,
    plans: Sequence[TenantPlan],
    chosen: Sequence[TenantId],
    skipped: Sequence[str],
    *,
    dry_run: bool,
) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "tenants": len(chosen),
        "to_migrate": sum(each.is_needed for each in plans),
        "refused_at": sum(each.is_refused for each in plans),
        "statements": sum(len(table.changes) for each in plans for table in each.tables),
        "shown_statements": shown_table(
            shown.STATEMENT_COLUMNS, shown.first(shown.statement_rows(project, plans))
        ),
        "shown_refusals": shown_table(shown.REFUSAL_COLUMNS, shown.first(shown.refusal_rows(plans))),
        "not_served": len(skipped),
        "shown_not_served": ", ".join(skipped[: shown.MOST_ROWS]),
    }


def _migrate(
    context: dg.AssetExecutionContext,
    bigquery: BigQuery,
    turns: Sequence[TenantPlan],
    config: MigrateConfig,
    recorder: VersionRecorder,
) -> Iterator[_Event]:
    rollout = Rollout(config.batch_size, config.concurrency, config.max_failures)
    outcomes: list[TenantOutcome] = []
    try:
        for batch in roll_out(bigquery, turns, rollout):
            outcomes.extend(batch)
            recorder.migrated(batch)
            yield from _materializations([each.tenant_id for each in batch if each.is_as_declared])
            context.log.info("%d of %d tenants had their turn.", len(outcomes), len(turns))
    except ConvergenceError:
        yield _observation(_done(outcomes, len(turns)))
        raise
    yield _observation(_done(outcomes, len(turns)))
    _check(outcomes)


def _check(outcomes: Sequence[TenantOutcome]) -> None:
    failed = [each.tenant_id for each in outcomes if each.failure is not None]
    if failed:
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Look at the {len(failed)} tenants in `shown_failures`, then start `migrate_tenants` again: the others are done.",
            {"failed": failed[: shown.MOST_ROWS]},
        )


def _done(outcomes: Sequence[TenantOutcome], to_migrate: int) -> dict[str, Any]:
    return {
        "to_migrate": to_migrate,
        "migrated": sum(each.failure is None for each in outcomes),
        "failed": sum(each.failure is not None for each in outcomes),
        "not_begun": to_migrate - len(outcomes),
        "statements_run": sum(len(table.statements) for each in outcomes for table in each.tables),
        "shown_failures": shown_table(shown.FAILURE_COLUMNS, shown.first(shown.failure_rows(outcomes))),
    }


def _observation(metadata: dict[str, Any]) -> dg.AssetObservation:
    return dg.AssetObservation(SCHEMA_KEY, metadata=metadata)


def _materializations(tenants: Sequence[TenantId]) -> Iterator[dg.AssetMaterialization]:
    """One event a tenant; its five tables have their own materializations from when they were made."""
    versions = {spec.name: spec.version for spec in tenant_tables()}
    for tenant_id in tenants:
        yield dg.AssetMaterialization(SCHEMA_KEY, partition=tenant_id, metadata={"versions": versions})


def tenant_schema_assets() -> list[dg.AssetsDefinition]:
    """What `definitions.py` merges."""
    return [schema_drift, tenant_schema]
