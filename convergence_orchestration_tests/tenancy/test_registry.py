from dataclasses import replace

import pytest

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import Plan, Tenant, TenantId, TenantState
from convergence_orchestration.tenancy.registry import PlanOf, StateChange, TenantFilter, Tenants
from convergence_orchestration_tests.tenancy.builders import FIRST, SECOND, seconds, tenant

ACTIVE, SUSPENDED, OFFBOARDING = TenantState.ACTIVE, TenantState.SUSPENDED, TenantState.OFFBOARDING


@pytest.fixture
def tenants(bigquery: BigQuery) -> Tenants:
    return Tenants(bigquery)


def change(tenant_id: TenantId, to: TenantState = SUSPENDED, at: float = 10) -> StateChange:
    return StateChange(tenant_id, SECOND, seconds(at), frozenset({ACTIVE}), to, reason="unpaid")


def test_profiles_read_back_as_they_were_written(tenants: Tenants, tenant_id: TenantId) -> None:
    other = f"{tenant_id}_other"
    both = [replace(tenant(tenant_id), principal="user:ana@acme.example"), tenant(other)]
    assert tenants.get(tenant_id) is None
    assert tenants.activate_profiles(both) == 2
    assert tenants.get(tenant_id) == both[0]
    assert tenants.get_all([tenant_id, TenantId(other), TenantId("nobody")]) == {
        each.tenant_id: each for each in both
    }


def test_a_profile_is_activated_once(tenants: Tenants, tenant_id: TenantId) -> None:
    assert tenants.activate_profiles([tenant(tenant_id)]) == 1
    assert tenants.activate_profiles([tenant(tenant_id, at=60)]) == 0
    assert tenants.activate_profiles([replace(tenant(tenant_id), request_id=SECOND)]) == 0
    assert tenants.get(tenant_id) == tenant(tenant_id)


def test_a_profile_that_is_being_provisioned_is_activated_by_its_own_request(
    tenants: Tenants, tenant_id: TenantId
) -> None:
    tenants.activate_profiles([tenant(tenant_id, TenantState.PROVISIONING)])
    assert tenants.activate_profiles([replace(tenant(tenant_id), request_id=SECOND)]) == 0
    assert tenants.activate_profiles([tenant(tenant_id, at=60)]) == 1
    assert tenants.get(tenant_id) == replace(tenant(tenant_id, at=60), created_at=seconds(0))


def test_a_state_changes_from_those_that_allow_it(tenants: Tenants, tenant_id: TenantId) -> None:
    tenants.activate_profiles([tenant(tenant_id)])
    assert tenants.change_state(change(tenant_id), seconds(11)) is True
    found = tenants.get(tenant_id)
    assert found == replace(
        tenant(tenant_id, SUSPENDED),
        state_reason="unpaid",
        updated_at=seconds(11),
        state_changed_by=SECOND,
        state_asked_at=seconds(10),
    )
    assert tenants.change_state(change(tenant_id, at=20), seconds(21)) is False, "it is SUSPENDED by now"
    assert tenants.get(tenant_id) == found


def test_a_change_asked_for_earlier_does_not_undo_a_later_one(tenants: Tenants, tenant_id: TenantId) -> None:
    tenants.activate_profiles([tenant(tenant_id, at=30)])
    assert tenants.change_state(change(tenant_id, at=10), seconds(40)) is False
    assert (
        tenants.change_plan(PlanOf(tenant_id, Plan.SCALE, seconds(10)), frozenset({ACTIVE}), seconds(40))
        is False
    )
    assert tenants.get(tenant_id) == tenant(tenant_id, at=30)


def test_a_change_of_an_unknown_tenant_is_none(tenants: Tenants, tenant_id: TenantId) -> None:
    assert tenants.change_state(change(tenant_id), seconds(0)) is False


def test_a_plan_changes_and_the_state_stays(tenants: Tenants, tenant_id: TenantId) -> None:
    tenants.activate_profiles([tenant(tenant_id, SUSPENDED)])
    plan = PlanOf(tenant_id, Plan.SCALE, seconds(10))
    assert tenants.change_plan(plan, frozenset({ACTIVE}), seconds(11)) is False
    for _ in range(2):
        assert tenants.change_plan(plan, frozenset({SUSPENDED}), seconds(11)) is True
    expected = replace(tenant(tenant_id, SUSPENDED), plan=Plan.SCALE, updated_at=seconds(11))
    assert tenants.get(tenant_id) == expected


def test_tenants_are_due_when_their_retention_is_over_and_only_then(
    tenants: Tenants, tenant_id: TenantId
) -> None:
    tenants.activate_profiles([tenant(tenant_id)])
    leaving = replace(change(tenant_id, OFFBOARDING), delete_after=seconds(100))
    tenants.change_state(leaving, seconds(11))

    def due(at: float) -> list[str]:
        return [each.tenant_id for each in tenants.due_for_deletion(seconds(at), 1000)]

    assert tenant_id not in due(99)
    assert tenant_id in due(100)
    deletion = StateChange(
        tenant_id, FIRST, seconds(50), frozenset({OFFBOARDING}), TenantState.DELETED, due_by=seconds(99)
    )
    assert tenants.change_state(deletion, seconds(99)) is False
    assert tenants.change_state(replace(deletion, due_by=seconds(100)), seconds(100)) is True
    assert tenant_id not in due(100)
    found = tenants.get(tenant_id)
    assert found is not None
    assert (found.state, found.delete_after, found.state_reason) == (TenantState.DELETED, None, "unpaid")


def test_tenants_are_paged_by_their_id(tenants: Tenants) -> None:
    tenants.activate_profiles([tenant(tenant_id) for tenant_id in ("page_c", "page_a", "page_b")])
    first = tenants.page(2, TenantId("page_"))
    second = tenants.page(2, first[-1].tenant_id)
    assert [each.tenant_id for each in first] == ["page_a", "page_b"]
    assert second[0].tenant_id == "page_c"
    assert tenants.page(1)[0].tenant_id <= "page_a"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (TenantFilter(search="filter_"), ["filter_a", "filter_b", "filter_c"]),
        (TenantFilter(search="filter_", state=SUSPENDED), ["filter_b"]),
        (TenantFilter(search="filter_", plan=Plan.SCALE), ["filter_c"]),
        (TenantFilter(search="GLOBEX"), ["filter_a"]),
        (TenantFilter(search="nobody's"), []),
        (TenantFilter(search="%"), []),
    ],
)
def test_pages_are_filtered(tenants: Tenants, wanted: TenantFilter, expected: list[str]) -> None:
    some: list[Tenant] = [
        replace(tenant("filter_a"), company_name="Globex Corp"),
        tenant("filter_b", SUSPENDED),
        replace(tenant("filter_c"), plan=Plan.SCALE),
    ]
    tenants.activate_profiles(some)
    assert [each.tenant_id for each in tenants.page(50, None, wanted)] == expected


def test_subscriptions_and_quotas_are_one_row_each_with_the_limits_of_the_plan_asked_for_last(
    bigquery: BigQuery, tenants: Tenants, tenant_id: TenantId
) -> None:
    for plan, at in ((Plan.STARTER, 0.0), (Plan.SCALE, 5.0), (Plan.PROFESSIONAL, 3.0)):
        plans = [PlanOf(tenant_id, plan, seconds(at))]
        tenants.upsert_subscriptions(plans)
        tenants.upsert_quotas(plans)
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
