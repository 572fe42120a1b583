from dataclasses import replace

import pytest

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import Plan, TenantId, TenantState
from convergence_orchestration.tenancy.registry import Tenants
from convergence_orchestration_tests.tenancy.builders import SECOND, seconds, tenant


@pytest.fixture
def tenants(bigquery: BigQuery) -> Tenants:
    return Tenants(bigquery)


def test_a_profile_reads_back_as_it_was_written(tenants: Tenants, tenant_id: TenantId) -> None:
    assert tenants.get(tenant_id) is None
    assert tenants.upsert_profile(tenant(tenant_id)) is True
    assert tenants.get(tenant_id) == tenant(tenant_id)


def test_the_same_request_writes_its_profile_again_and_the_creation_stays(
    tenants: Tenants, tenant_id: TenantId
) -> None:
    tenants.upsert_profile(tenant(tenant_id))
    suspended = tenant(tenant_id, TenantState.SUSPENDED, at=60)
    assert tenants.upsert_profile(suspended) is True
    assert tenants.get(tenant_id) == replace(suspended, created_at=seconds(0))


def test_another_request_leaves_a_profile_alone_and_learns_it(tenants: Tenants, tenant_id: TenantId) -> None:
    tenants.upsert_profile(tenant(tenant_id))
    assert (
        tenants.upsert_profile(replace(tenant(tenant_id), request_id=SECOND, company_name="Other")) is False
    )
    assert tenants.get(tenant_id) == tenant(tenant_id)


def test_a_profile_is_activated_once(tenants: Tenants, tenant_id: TenantId) -> None:
    assert tenants.activate_profile(tenant(tenant_id)) is True
    assert tenants.activate_profile(tenant(tenant_id, at=60)) is False
    assert tenants.get(tenant_id) == tenant(tenant_id)


def test_a_profile_that_is_being_provisioned_is_activated_by_its_own_request(
    tenants: Tenants, tenant_id: TenantId
) -> None:
    tenants.upsert_profile(tenant(tenant_id, TenantState.PROVISIONING))
    assert tenants.activate_profile(replace(tenant(tenant_id), request_id=SECOND)) is False
    assert tenants.activate_profile(tenant(tenant_id, at=60)) is True
    assert tenants.get(tenant_id) == replace(tenant(tenant_id, at=60), created_at=seconds(0))


def test_tenants_are_paged_by_their_id(tenants: Tenants) -> None:
    for tenant_id in ("page_c", "page_a", "page_b"):
        tenants.upsert_profile(tenant(tenant_id))
    first = tenants.page(2, TenantId("page_"))
    second = tenants.page(2, first[-1].tenant_id)
    assert [each.tenant_id for each in first] == ["page_a", "page_b"]
    assert second[0].tenant_id == "page_c"
    assert tenants.page(1)[0].tenant_id <= "page_a"


def test_subscription_and_quota_are_one_row_each_with_the_plans_limits(
    bigquery: BigQuery, tenants: Tenants, tenant_id: TenantId
) -> None:
    for plan, at in ((Plan.STARTER, 0.0), (Plan.SCALE, 5.0)):
        tenants.upsert_subscription(tenant_id, plan, seconds(at))
        tenants.upsert_quota(tenant_id, plan, seconds(at))
    subscription = only_row(bigquery, "tenant_subscriptions", tenant_id)
    quota = only_row(bigquery, "tenant_usage_quotas", tenant_id)
    assert (subscription["plan"], subscription["status"]) == ("SCALE", "ACTIVE")
    assert (subscription["started_at"], subscription["updated_at"]) == (seconds(0), seconds(5))
    for row in (subscription, quota):
        assert (row["runs_per_day"], row["concurrent_runs"]) == (100, 10)
    assert (quota["requests_per_minute"], quota["requests_per_hour"]) == (100, 1000)


def only_row(bigquery: BigQuery, table: str, tenant_id: TenantId) -> dict[str, object]:
    rows = [row for row in bigquery.client.list_rows(f"tenants.{table}") if row["tenant_id"] == tenant_id]
    assert len(rows) == 1
    return dict(rows[0])
