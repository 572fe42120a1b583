"""How a tenant changes: its plan, suspension and resumption, its leaving and its end.

What belongs here: one class whose methods carry out one request each, every one of which finds what an earlier attempt
did. The profile is changed first, by one statement that its state must allow, so that of two requests the one asked
for later counts; what follows from the change is done after it. Making tenants is `provisioning.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Protocol

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.asked import (
    Asked,
    Deletion,
    Offboarding,
    PlanChange,
    Resumption,
    Suspension,
)
from convergence_orchestration.tenancy.model import TENANT_TRANSITIONS, Tenant, TenantId, TenantState
from convergence_orchestration.tenancy.registry import PlanOf, StateChange, Tenants
from convergence_orchestration.tenancy.request_model import TenantRequest
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration.warehouse.model import SNAPSHOT_KEPT, tenant_dataset
from convergence_orchestration.warehouse.snapshots import SnapshotSet, snapshot_tables

ARCHIVE_DATASET = "tenants_archive"
"""Where the snapshots of offboarded tenants' tables go."""

_WANTED_STATE: Mapping[type[Asked], TenantState] = MappingProxyType(
    {
        Suspension: TenantState.SUSPENDED,
        Resumption: TenantState.ACTIVE,
        Offboarding: TenantState.OFFBOARDING,
        Deletion: TenantState.DELETED,
    }
)
_ALLOWED_FROM: Mapping[type[Asked], frozenset[TenantState]] = MappingProxyType(
    {
        PlanChange: frozenset({TenantState.ACTIVE, TenantState.SUSPENDED}),
        # PROVISIONING is left by the request that makes the tenant alone
        **{
            asked: frozenset(state for state, following in TENANT_TRANSITIONS.items() if wanted in following)
            - {TenantState.PROVISIONING}
            for asked, wanted in _WANTED_STATE.items()
        },
    }
)


class KeyRevoker(Protocol):
    """Revokes every key of a tenant; keys are another domain's, so whoever assembles the platform passes it in."""

    def __call__(
        self,
        bigquery: BigQuery,
        tenant_id: TenantId,
        *,
        actor: str,
        reason: str,
        request_id: str,
        run_id: str,
        now: datetime,
    ) -> object:
        """Revoke them; repeating it is harmless."""


@dataclass(frozen=True)
class Changed:
    """The tenant behind a change, and what else was done, as words and JSON values."""

    tenant: Tenant
    facts: dict[str, object] = field(default_factory=dict)


def refusal(tenant: Tenant | None, asked: Asked) -> PermanentError | None:
    """Why this may not be asked of the tenant as it is; None if it may, or if nothing is left to do."""
    if tenant is None:
        return _not_found(asked)
    if tenant.state in _ALLOWED_FROM[type(asked)] or is_already_so(tenant, asked):
        return None
    details: dict[str, object] = {"tenant_id": tenant.tenant_id, "state": str(tenant.state)}
    if tenant.state is TenantState.DELETED:
        return PermanentError(
            ErrorCode.TENANT_DELETED,
            f"Make another tenant: {tenant.tenant_id} is deleted, which cannot be undone, and its id is not given again.",
            details,
        )
    states = " or ".join(sorted(_ALLOWED_FROM[type(asked)]))
    return PermanentError(
        ErrorCode.FAILED_PRECONDITION,
        f"Bring {tenant.tenant_id} into state {states} first: it is {tenant.state}.",
        details,
    )


def is_already_so(tenant: Tenant, asked: Asked) -> bool:
    """The tenant is as asked: nothing is left to do. Never for an offboarding, whose terms could be other ones."""
    if isinstance(asked, PlanChange):
        return tenant.plan is asked.plan and tenant.state in _ALLOWED_FROM[PlanChange]
    return not isinstance(asked, Offboarding) and tenant.state is _WANTED_STATE[type(asked)]


class Changes:
    """Carries out requests about tenants that there are, in one BigQuery, in one Dagster run."""

    def __init__(self, bigquery: BigQuery, revoke_keys: KeyRevoker, run_id: str) -> None:
        self._bigquery = bigquery
        self._tenants = Tenants(bigquery)
        self._revoke_keys = revoke_keys
        self._run_id = run_id

    def carry_out(self, request: TenantRequest, now: datetime) -> Changed:
        """Do what the request asks for; again and again, it is done once.

        Raises:
            PermanentError: TENANT_NOT_FOUND, TENANT_DELETED, FAILED_PRECONDITION; the tenant is as it was.
        """
        asked = request.parameters
        if isinstance(asked, PlanChange):
            return self._change_plan(request, asked, now)
        self._tenants.change_state(_state_change(request, now), now)
        tenant = self._tenants.get(request.tenant_id)
        if tenant is not None and tenant.state_changed_by == request.request_id:
            return Changed(tenant, self._consequences(request, tenant, now))
        return _unchanged(tenant, request, is_overtaken=_is_overtaken(tenant, request))

    def _change_plan(self, request: TenantRequest, asked: PlanChange, now: datetime) -> Changed:
        plan = PlanOf(asked.tenant_id, asked.plan, request.requested_at)
        is_changed = self._tenants.change_plan(plan, _ALLOWED_FROM[PlanChange], now)
        tenant = self._tenants.get(request.tenant_id)
        if tenant is None or not is_changed:
            return _unchanged(
                tenant, request, is_overtaken=False
            )  # a plan asked for later is refused by nothing
        self._tenants.upsert_subscriptions([plan])
        self._tenants.upsert_quotas([plan])
        return Changed(tenant, {"plan": str(asked.plan)})

    def _consequences(self, request: TenantRequest, tenant: Tenant, now: datetime) -> dict[str, object]:
        asked = request.parameters
        if isinstance(asked, Offboarding):
            return self._offboard(request, asked, now)
        if isinstance(asked, Deletion):
            return self._delete(request, tenant, now)
        return {}

    def _offboard(self, request: TenantRequest, asked: Offboarding, now: datetime) -> dict[str, object]:
        self._revoke(request, now)
        facts: dict[str, object] = {"delete_after": _delete_after(request, asked).isoformat()}
        if asked.take_snapshot:
            facts["snapshots"] = self._snapshots(request, asked)
        return facts

    def _snapshots(self, request: TenantRequest, asked: Offboarding) -> dict[str, str]:
        wanted = SnapshotSet(
            source=tenant_dataset(asked.tenant_id),
            destination=ARCHIVE_DATASET,
            prefix=f"{asked.tenant_id}__",
            taken_at=request.requested_at,
            expires_at=_delete_after(request, asked) + SNAPSHOT_KEPT,
        )
        return snapshot_tables(self._bigquery, wanted, [spec.name for spec in tenant_tables()])

    def _delete(self, request: TenantRequest, tenant: Tenant, now: datetime) -> dict[str, object]:
        self._revoke(request, now)
        self._bigquery.delete_dataset(tenant.dataset_id)
        self._tenants.upsert_subscriptions(
            [PlanOf(tenant.tenant_id, tenant.plan, request.requested_at, status="ENDED")]
        )
        return {"deleted_dataset": tenant.dataset_id}

    def _revoke(self, request: TenantRequest, now: datetime) -> None:
        self._revoke_keys(
            self._bigquery,
            request.tenant_id,
            actor=request.actor,
            reason=f"The tenant leaves ({request.kind}).",
            request_id=request.request_id,
            run_id=self._run_id,
            now=now,
        )


def _unchanged(tenant: Tenant | None, request: TenantRequest, *, is_overtaken: bool) -> Changed:
    """What to say of a request that changed nothing.

    Raises:
        PermanentError: as `refusal`, and FAILED_PRECONDITION for a deletion that is not due.
    """
    asked = request.parameters
    if tenant is None:
        raise _not_found(asked)
    error = refusal(tenant, asked)
    if error is not None and (not is_overtaken or error.code is ErrorCode.TENANT_DELETED):
        raise error
    if isinstance(asked, Deletion) and tenant.state is TenantState.OFFBOARDING and not is_overtaken:
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Wait until {tenant.delete_after:%Y-%m-%d %H:%M} UTC: {tenant.tenant_id} is kept until then.",
            {"tenant_id": tenant.tenant_id},
        )
    return Changed(
        tenant, {"note": f"Nothing was left to do: {tenant.tenant_id} is {tenant.state}, {tenant.plan}."}
    )


def _not_found(asked: Asked) -> PermanentError:
    return PermanentError(
        ErrorCode.TENANT_NOT_FOUND,
        f"Check the tenant id: there is no tenant {asked.tenant_id}.",
        {"tenant_id": asked.tenant_id},
    )


def _is_overtaken(tenant: Tenant | None, request: TenantRequest) -> bool:
    """A request made later has taken effect already, which is as if this one had come first."""
    return (
        tenant is not None
        and tenant.state_asked_at is not None
        and tenant.state_asked_at >= request.requested_at
    )


def _state_change(request: TenantRequest, now: datetime) -> StateChange:
    asked = request.parameters
    return StateChange(
        tenant_id=request.tenant_id,
        request_id=request.request_id,
        asked_at=request.requested_at,
        from_states=_ALLOWED_FROM[type(asked)],
        state=_WANTED_STATE[type(asked)],
        reason=None if isinstance(asked, Deletion) else getattr(asked, "reason", ""),
        delete_after=_delete_after(request, asked) if isinstance(asked, Offboarding) else None,
        due_by=now if isinstance(asked, Deletion) else None,
    )


def _delete_after(request: TenantRequest, asked: Offboarding) -> datetime:
    return request.requested_at + timedelta(days=asked.retention_days)
