"""What would be done for which tenant, from how the fleet differs: pure, no call of any service.

What belongs here: the plans and whose turn is first. Carrying them out is `rollout.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.schema.fleet import tenant_of
from convergence_orchestration.warehouse.fleet import FleetDrift
from convergence_orchestration.warehouse.migration import TablePlan, plan


@dataclass(frozen=True)
class TenantPlan:
    """What is to be done to one tenant's tables, those that differ."""

    tenant_id: TenantId
    dataset_id: str
    tables: tuple[TablePlan, ...]

    @property
    def is_needed(self) -> bool:
        """Whether any table would be changed."""
        return any(table.is_needed for table in self.tables)

    @property
    def is_refused(self) -> bool:
        """Whether any table is left as it is although it differs."""
        return any(table.refusals for table in self.tables)


def plans_for(drift: FleetDrift) -> list[TenantPlan]:
    """A plan for each tenant that differs, by id."""
    return [
        TenantPlan(
            tenant_id=tenant_of(dataset.dataset_id),
            dataset_id=dataset.dataset_id,
            tables=tuple(plan(table.spec, table.found) for table in dataset.tables),
        )
        for dataset in drift.drifting
    ]


def in_turn(
    plans: Sequence[TenantPlan], canary: TenantId | None, chosen: Sequence[TenantId]
) -> list[TenantPlan]:
    """The plans that change something, the canary's first: the one named, or the first by id.

    A canary that needs nothing has been migrated already, by a run that was cut off perhaps; it needs no second look.

    Raises:
        PermanentError: INVALID_ARGUMENT for a canary that is not among the tenants `chosen`, or of which a table is refused.
    """
    needed = sorted((each for each in plans if each.is_needed), key=lambda each: each.tenant_id)
    if canary is None:
        return needed
    if canary not in chosen:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Name a canary among the chosen tenants, or leave it empty: {canary} is none of those that are served.",
            {"canary": canary},
        )
    if any(each.tenant_id == canary and not each.is_needed for each in plans):
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Name another canary, or leave it empty: what differs at {canary} is refused, so it would show nothing.",
            {"canary": canary},
        )
    return sorted(needed, key=lambda each: each.tenant_id != canary)
