"""Carries plans out over the fleet: one tenant first, looked at again, then the others in batches.

What belongs here: the order, when it goes on and when it stops. Every table is planned anew from what BigQuery has
when its turn comes, so a rollout that was killed anywhere is finished by starting it again.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import batched

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.schema.plans import TenantPlan
from convergence_orchestration.warehouse.migrating import Migrated, Pause, migrate_table
from convergence_orchestration.warehouse.model import MAX_CONCURRENT_CALLS


@dataclass(frozen=True)
class Rollout:
    """How fast and how far.

    Attributes:
        batch_size: tenants of a batch; each batch is recorded before the next begins.
        concurrency: tenants migrated at once.
        max_failures: more tenants than this that failed end the rollout.
        pause: waits so many seconds, where BigQuery's limit for one table asks for it.
    """

    batch_size: int = 50
    concurrency: int = MAX_CONCURRENT_CALLS
    max_failures: int = 10
    pause: Pause = field(default=time.sleep)


@dataclass(frozen=True)
class TenantOutcome:
    """What became of one tenant.

    Attributes:
        tables: those whose turn came.
        error: what ended it, if anything did.
    """

    tenant_id: TenantId
    tables: tuple[Migrated, ...] = ()
    error: ConvergenceError | None = None

    @property
    def is_as_declared(self) -> bool:
        """Whether nothing is left to do, of what was planned and of what was refused."""
        return self.error is None and all(table.is_as_declared for table in self.tables)

    @property
    def wrong(self) -> tuple[Migrated, ...]:
        """Tables that still differ although every statement went through."""
        return tuple(table for table in self.tables if table.remaining and not table.plan.refusals)

    @property
    def failure(self) -> str | None:
        """Why the tenant failed, in one sentence; a refusal is no failure."""
        if self.error is not None:
            return self.error.message
        if self.wrong:
            return f"Look at {_differences(self.wrong)}: it is not as declared after its statements."
        return None


def roll_out(
    bigquery: BigQuery, plans: Sequence[TenantPlan], rollout: Rollout
) -> Iterator[tuple[TenantOutcome, ...]]:
    """Migrate the tenants in their order, the first one alone; each batch's outcomes as soon as it is done.

    Raises:
        PermanentError, TransientError: the canary's own error, or FAILED_PRECONDITION if it is not as declared
            afterwards: no other tenant was touched; FAILED_PRECONDITION once too many tenants failed.
    """
    if not plans:
        return
    canary = _migrate(bigquery, plans[0], rollout)
    yield (canary,)
    _check_canary(canary)
    failed = 0
    for batch in batched(plans[1:], rollout.batch_size, strict=False):
        outcomes = _migrate_batch(bigquery, batch, rollout)
        yield outcomes
        failed += sum(outcome.failure is not None for outcome in outcomes)
        if failed > rollout.max_failures:
            raise PermanentError(
                ErrorCode.FAILED_PRECONDITION,
                f"Look at what the {failed} tenants that failed have in common, then start again: more than "
                f"{rollout.max_failures} failed, so the others were not touched.",
                {"failed": failed},
            )


def _migrate_batch(
    bigquery: BigQuery, batch: Sequence[TenantPlan], rollout: Rollout
) -> tuple[TenantOutcome, ...]:
    with ThreadPoolExecutor(min(rollout.concurrency, MAX_CONCURRENT_CALLS)) as pool:
        return tuple(pool.map(lambda each: _migrate(bigquery, each, rollout), batch))


def _migrate(bigquery: BigQuery, planned: TenantPlan, rollout: Rollout) -> TenantOutcome:
    done: list[Migrated] = []
    try:
        _check_dataset(bigquery, planned)
        for table in planned.tables:
            done.append(migrate_table(bigquery, planned.dataset_id, table.spec, rollout.pause))  # noqa: PERF401 kept if the next one fails
    except ConvergenceError as error:
        return TenantOutcome(planned.tenant_id, tuple(done), error)
    return TenantOutcome(planned.tenant_id, tuple(done))


def _check_dataset(bigquery: BigQuery, planned: TenantPlan) -> None:
    """Only onboarding makes a dataset, for that is how an id is claimed."""
    if any(table.creates for table in planned.tables) and bigquery.get_dataset(planned.dataset_id) is None:
        raise PermanentError(
            ErrorCode.NOT_FOUND,
            f"Restore dataset {planned.dataset_id} (BigQuery keeps it for 7 days), or offboard {planned.tenant_id}: "
            "it is gone, and a migration makes no dataset.",
            {"tenant_id": planned.tenant_id},
        )


def _check_canary(canary: TenantOutcome) -> None:
    if canary.error is not None:
        kind = TransientError if isinstance(canary.error, TransientError) else PermanentError
        raise kind(
            canary.error.code,
            f"{canary.error.message} It was the canary {canary.tenant_id}; no other tenant was touched.",
            canary.error.details,
        )
    if canary.wrong:
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Look at the canary {canary.tenant_id} before anything else is migrated: {_differences(canary.wrong)} is not as "
            "declared after its statements; no other tenant was touched.",
            {"tenant_id": canary.tenant_id},
        )


def _differences(tables: Sequence[Migrated]) -> str:
    return ", ".join(
        f"{table.dataset_id}.{difference.table}.{difference.column} (declared {difference.declared}, "
        f"found {difference.found})"
        for table in tables
        for difference in table.remaining
    )
