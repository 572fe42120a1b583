"""The tenants that are: `tenant_profiles`, `tenant_subscriptions` and `tenant_usage_quotas`, one row each a tenant.

What belongs here: reading tenants, and the statements by which Dagster runs write them. What is decided from them is not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from google.cloud.bigquery import ArrayQueryParameter, Row, ScalarQueryParameter, StructQueryParameter

from convergence_orchestration.gcp.bigquery import BigQuery, Parameters
from convergence_orchestration.tenancy.model import (
    PLAN_LIMITS,
    Plan,
    Tenant,
    TenantId,
    TenantState,
)

_HERE = Path(__file__)
_BY_ID = _HERE.with_name("tenants_by_id.sql").read_text(encoding="utf-8")
_PAGE = _HERE.with_name("tenants_page.sql").read_text(encoding="utf-8")
_DUE = _HERE.with_name("tenants_due.sql").read_text(encoding="utf-8")
_ACTIVATE_PROFILES = _HERE.with_name("activate_profiles.sql").read_text(encoding="utf-8")
_CHANGE_PLAN = _HERE.with_name("change_plan.sql").read_text(encoding="utf-8")
_CHANGE_STATE = _HERE.with_name("change_state.sql").read_text(encoding="utf-8")
_MERGE_SUBSCRIPTIONS = _HERE.with_name("merge_subscriptions.sql").read_text(encoding="utf-8")
_MERGE_QUOTAS = _HERE.with_name("merge_quotas.sql").read_text(encoding="utf-8")

_KINDS: Mapping[type, str] = {str: "STRING", int: "INT64", datetime: "TIMESTAMP"}

type _Scalar = str | int | datetime
type _Row = dict[str, _Scalar]


@dataclass(frozen=True)
class TenantFilter:
    """Which tenants a page shows; None filters nothing, `search` is part of an id or of a company's name."""

    state: TenantState | None = None
    plan: Plan | None = None
    search: str | None = None


@dataclass(frozen=True)
class PlanOf:
    """A tenant's plan and when the request for it was made, UTC; `status` is ACTIVE, or why the plan is not in force."""

    tenant_id: TenantId
    plan: Plan
    asked_at: datetime
    status: str = "ACTIVE"


@dataclass(frozen=True)
class StateChange:
    """Another state for a tenant, and from which states it may come; times are UTC.

    Attributes:
        reason: replaces the one there was, unless it is None.
        delete_after: the date of deletion from now on, None for none.
        due_by: only if the date of deletion there was until now is not after this.
    """

    tenant_id: TenantId
    request_id: str
    asked_at: datetime
    from_states: frozenset[TenantState]
    state: TenantState
    reason: str | None = None
    delete_after: datetime | None = None
    due_by: datetime | None = None


class Tenants:
    """The tenants, over one BigQuery. Errors are those of `gcp.bigquery`; NOT_FOUND before the bootstrap."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bigquery = bigquery

    def get(self, tenant_id: TenantId) -> Tenant | None:
        """The tenant, or None if there is none of this id."""
        return self.get_all([tenant_id]).get(tenant_id)

    def get_all(self, tenant_ids: Sequence[TenantId]) -> dict[TenantId, Tenant]:
        """Those of the tenants that there are."""
        wanted = ArrayQueryParameter("tenant_ids", "STRING", list(tenant_ids))
        found = map(_tenant_of, self._bigquery.query(_BY_ID, [wanted]))
        return {tenant.tenant_id: tenant for tenant in found}

    def page(
        self, limit: int, after: TenantId | None = None, wanted: TenantFilter = TenantFilter()
    ) -> list[Tenant]:
        """At most `limit` tenants ordered by id, those behind `after`."""
        parameters = [
            _scalar("after", after or ""),
            _scalar("state", str(wanted.state or "")),
            _scalar("plan", str(wanted.plan or "")),
            _scalar("search", (wanted.search or "").lower()),
            _scalar("page_size", limit),
        ]
        return [_tenant_of(row) for row in self._bigquery.query(_PAGE, parameters)]

    def due_for_deletion(self, now: datetime, limit: int) -> list[Tenant]:
        """At most `limit` OFFBOARDING tenants whose retention period is over."""
        rows = self._bigquery.query(_DUE, [_scalar("now", now), _scalar("page_size", limit)])
        return [_tenant_of(row) for row in rows]

    def activate_profiles(self, tenants: Sequence[Tenant]) -> int:
        """Write the profiles where there is none yet, or this request's own that is PROVISIONING; how many were written."""
        return self._bigquery.execute(_ACTIVATE_PROFILES, [_rows(map(_profile, tenants))])

    def change_state(self, change: StateChange, now: datetime) -> bool:
        """Make the change; False if the tenant's state or a later request forbids it, or there is no tenant."""
        parameters: Parameters = [
            _scalar("tenant_id", change.tenant_id),
            _scalar("request_id", change.request_id),
            _scalar("asked_at", change.asked_at),
            ArrayQueryParameter("from_states", "STRING", sorted(change.from_states)),
            _scalar("state", str(change.state)),
            ScalarQueryParameter("state_reason", "STRING", change.reason),
            ScalarQueryParameter("delete_after", "TIMESTAMP", change.delete_after),
            ScalarQueryParameter("due_by", "TIMESTAMP", change.due_by),
            _scalar("now", now),
        ]
        return self._bigquery.execute(_CHANGE_STATE, parameters) > 0

    def change_plan(self, plan: PlanOf, from_states: frozenset[TenantState], now: datetime) -> bool:
        """Make the change; False if the tenant's state or a later request forbids it, or there is no tenant."""
        parameters: Parameters = [
            _scalar("tenant_id", plan.tenant_id),
            _scalar("plan", str(plan.plan)),
            _scalar("asked_at", plan.asked_at),
            ArrayQueryParameter("from_states", "STRING", sorted(from_states)),
            _scalar("now", now),
        ]
        return self._bigquery.execute(_CHANGE_PLAN, parameters) > 0

    def upsert_subscriptions(self, plans: Sequence[PlanOf]) -> None:
        """Write what tenants pay for, unless a later request has written it already."""
        self._bigquery.execute(_MERGE_SUBSCRIPTIONS, [_rows(map(_subscription, plans))])

    def upsert_quotas(self, plans: Sequence[PlanOf]) -> None:
        """Write what tenants may use, unless a later request has written it already."""
        self._bigquery.execute(_MERGE_QUOTAS, [_rows(map(_quota, plans))])


def _tenant_of(row: Row) -> Tenant:
    return Tenant(
        tenant_id=TenantId(row["tenant_id"]),
        state=TenantState(row["state"]),
        state_reason=row["state_reason"] or "",
        company_name=row["company_name"] or "",
        description=row["description"] or "",
        admin_email=row["admin_email"] or "",
        plan=Plan(row["plan"]),
        principal=row["principal"] or "",
        dataset_id=row["dataset_id"],
        request_id=row["request_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        delete_after=row["delete_after"],
        state_changed_by=row["state_changed_by"],
        state_asked_at=row["state_asked_at"],
    )


def _profile(tenant: Tenant) -> _Row:
    return {
        "tenant_id": str(tenant.tenant_id),
        "state": str(tenant.state),
        "company_name": tenant.company_name,
        "description": tenant.description,
        "admin_email": tenant.admin_email,
        "plan": str(tenant.plan),
        "principal": tenant.principal,
        "dataset_id": tenant.dataset_id,
        "request_id": tenant.request_id,
        "state_asked_at": tenant.state_asked_at or tenant.updated_at,
        "written_at": tenant.updated_at,
    }


def _subscription(plan: PlanOf) -> _Row:
    limits = PLAN_LIMITS[plan.plan]
    return {
        "tenant_id": str(plan.tenant_id),
        "plan": str(plan.plan),
        "status": plan.status,
        "runs_per_day": limits.runs_per_day,
        "concurrent_runs": limits.concurrent_runs,
        "asked_at": plan.asked_at,
    }


def _quota(plan: PlanOf) -> _Row:
    limits = PLAN_LIMITS[plan.plan]
    return {
        "tenant_id": str(plan.tenant_id),
        "runs_per_day": limits.runs_per_day,
        "concurrent_runs": limits.concurrent_runs,
        "requests_per_minute": limits.requests_per_minute,
        "requests_per_hour": limits.requests_per_hour,
        "asked_at": plan.asked_at,
    }


def _rows(rows: Iterable[_Row]) -> ArrayQueryParameter:
    """`@rows`, an array of structs with a field for each key."""
    structs = [
        StructQueryParameter(None, *(_scalar(name, value) for name, value in row.items())) for row in rows
    ]
    return ArrayQueryParameter("rows", "STRUCT", structs)


def _scalar(name: str, value: _Scalar) -> ScalarQueryParameter:
    return ScalarQueryParameter(name, _KINDS[type(value)], value)
