"""The tenants that are: `tenant_profiles`, `tenant_subscriptions` and `tenant_usage_quotas`, one row each a tenant.

What belongs here: reading tenants, and the MERGEs by which Dagster runs write them. What is decided from them is not.
"""

from datetime import datetime
from pathlib import Path

from google.cloud.bigquery import Row, ScalarQueryParameter

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import (
    PLAN_LIMITS,
    Plan,
    RequestId,
    Tenant,
    TenantId,
    TenantState,
)

_HERE = Path(__file__)
_BY_ID = _HERE.with_name("tenant_by_id.sql").read_text(encoding="utf-8")
_PAGE = _HERE.with_name("tenants_page.sql").read_text(encoding="utf-8")
_ACTIVATE_PROFILE = _HERE.with_name("activate_profile.sql").read_text(encoding="utf-8")
_MERGE_PROFILE = _HERE.with_name("merge_profile.sql").read_text(encoding="utf-8")
_MERGE_SUBSCRIPTION = _HERE.with_name("merge_subscription.sql").read_text(encoding="utf-8")
_MERGE_QUOTA = _HERE.with_name("merge_quota.sql").read_text(encoding="utf-8")


class Tenants:
    """The tenants, over one BigQuery. Errors are those of `gcp.bigquery`; NOT_FOUND before the bootstrap."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bigquery = bigquery

    def get(self, tenant_id: TenantId) -> Tenant | None:
        """The tenant, or None if there is none of this id."""
        rows = self._bigquery.query(_BY_ID, [_text("tenant_id", tenant_id)])
        return _tenant_of(rows[0]) if rows else None

    def page(self, limit: int, after: TenantId | None = None) -> list[Tenant]:
        """At most `limit` tenants ordered by id, those behind `after`."""
        parameters = [_text("after", after or ""), _number("page_size", limit)]
        return [_tenant_of(row) for row in self._bigquery.query(_PAGE, parameters)]

    def activate_profile(self, tenant: Tenant) -> bool:
        """Write the profile if there is none yet, or this request's own that is PROVISIONING; True if it was written."""
        return self._bigquery.execute(_ACTIVATE_PROFILE, _profile(tenant)) > 0

    def upsert_profile(self, tenant: Tenant) -> bool:
        """Write the profile, if it is this request's or there is none; False if it is another request's.

        `tenant.updated_at` is the time of writing; `created_at` counts with the first write alone.
        """
        return self._bigquery.execute(_MERGE_PROFILE, _profile(tenant)) > 0

    def upsert_subscription(self, tenant_id: TenantId, plan: Plan, now: datetime) -> None:
        """Write what the tenant pays for: `plan` with its limits, ACTIVE."""
        limits = PLAN_LIMITS[plan]
        self._bigquery.execute(
            _MERGE_SUBSCRIPTION,
            [
                _text("tenant_id", tenant_id),
                _text("plan", plan),
                _text("status", "ACTIVE"),
                _number("runs_per_day", limits.runs_per_day),
                _number("concurrent_runs", limits.concurrent_runs),
                _time("now", now),
            ],
        )

    def upsert_quota(self, tenant_id: TenantId, plan: Plan, now: datetime) -> None:
        """Write what the tenant may use: the limits of `plan`."""
        limits = PLAN_LIMITS[plan]
        self._bigquery.execute(
            _MERGE_QUOTA,
            [
                _text("tenant_id", tenant_id),
                _number("runs_per_day", limits.runs_per_day),
                _number("concurrent_runs", limits.concurrent_runs),
                _number("requests_per_minute", limits.requests_per_minute),
                _number("requests_per_hour", limits.requests_per_hour),
                _time("now", now),
            ],
        )


def _tenant_of(row: Row) -> Tenant:
    return Tenant(
        tenant_id=TenantId(row["tenant_id"]),
        state=TenantState(row["state"]),
        company_name=row["company_name"] or "",
        description=row["description"] or "",
        admin_email=row["admin_email"] or "",
        plan=Plan(row["plan"]),
        dataset_id=row["dataset_id"],
        request_id=RequestId(row["request_id"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _profile(tenant: Tenant) -> list[ScalarQueryParameter]:
    return [
        _text("tenant_id", tenant.tenant_id),
        _text("state", tenant.state),
        _text("company_name", tenant.company_name),
        _text("description", tenant.description),
        _text("admin_email", tenant.admin_email),
        _text("plan", tenant.plan),
        _text("dataset_id", tenant.dataset_id),
        _text("request_id", tenant.request_id),
        _time("now", tenant.updated_at),
    ]


def _text(name: str, value: str) -> ScalarQueryParameter:
    return ScalarQueryParameter(name, "STRING", str(value))


def _number(name: str, value: int) -> ScalarQueryParameter:
    return ScalarQueryParameter(name, "INT64", value)


def _time(name: str, value: datetime) -> ScalarQueryParameter:
    return ScalarQueryParameter(name, "TIMESTAMP", value)
