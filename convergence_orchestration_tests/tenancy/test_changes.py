from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.asked import (
    Asked,
    Deletion,
    Offboarding,
    PlanChange,
    Resumption,
    Suspension,
)
from convergence_orchestration.tenancy.changes import (
    ARCHIVE_DATASET,
    Changed,
    Changes,
    is_already_so,
    refusal,
)
from convergence_orchestration.tenancy.model import Plan, Tenant, TenantId, TenantState
from convergence_orchestration.tenancy.provisioning import Limits, Provisioning, Wanted
from convergence_orchestration.tenancy.registry import Tenants
from convergence_orchestration.tenancy.request_model import TenantRequest, new_request_id
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration.warehouse.model import tenant_dataset
from convergence_orchestration_tests.tenancy.builders import ACME, FIRST, request, seconds, tenant
from convergence_orchestration_tests.tenancy.dying import DyingBigQuery, KilledError

ACTIVE, SUSPENDED = TenantState.ACTIVE, TenantState.SUSPENDED
OFFBOARDING, DELETED = TenantState.OFFBOARDING, TenantState.DELETED
DAY = 86_400


class Keys:
    """Remembers whose keys were revoked, and why."""

    def __init__(self) -> None:
        self.revoked: list[tuple[TenantId, str]] = []

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
    ) -> None:
        assert all((bigquery, actor, request_id, run_id, now))
        self.revoked.append((tenant_id, reason))


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def acme(bigquery: BigQuery, tenant_id: TenantId) -> TenantId:
    """An ACTIVE tenant without a dataset."""
    Tenants(bigquery).activate_profiles([tenant(tenant_id)])
    return tenant_id


@pytest.fixture
def whole(bigquery: BigQuery, tenant_id: TenantId) -> Iterator[TenantId]:
    """An ACTIVE tenant with all it has."""
    asked = Wanted(FIRST, replace(ACME, tenant_id=tenant_id), seconds(0))
    made = Provisioning(bigquery, Limits(tables_per_second=1000)).provision([asked], seconds(0))
    assert made.failed == {}
    yield tenant_id
    bigquery.delete_dataset(ARCHIVE_DATASET)


def asked(what: Asked, at: float = 10) -> TenantRequest:
    return request(what, at, new_request_id())


def carried_out(bigquery: BigQuery, one: TenantRequest, keys: Keys | None = None, at: float = 20) -> Changed:
    return Changes(bigquery, keys or Keys(), "run-1").carry_out(one, seconds(at))


def refused(bigquery: BigQuery, one: TenantRequest, at: float = 20) -> PermanentError:
    with pytest.raises(PermanentError) as raised:
        carried_out(bigquery, one, at=at)
    return raised.value


def now_is(bigquery: BigQuery, tenant_id: TenantId) -> Tenant:
    found = Tenants(bigquery).get(tenant_id)
    assert found is not None
    return found


def test_a_tenant_is_suspended_with_its_reason_and_resumed_without(
    bigquery: BigQuery, acme: TenantId
) -> None:
    suspended = carried_out(bigquery, asked(Suspension(acme, "unpaid"), 10)).tenant
    assert (suspended.state, suspended.state_reason) == (SUSPENDED, "unpaid")
    resumed = carried_out(bigquery, asked(Resumption(acme), 30), at=31).tenant
    assert (resumed.state, resumed.state_reason, resumed.updated_at) == (ACTIVE, "", seconds(31))
    assert now_is(bigquery, acme) == resumed


def test_a_suspension_run_again_changes_nothing(bigquery: BigQuery, acme: TenantId) -> None:
    one = asked(Suspension(acme))
    first = carried_out(bigquery, one, at=11)
    assert carried_out(bigquery, one, at=99) == first
    assert now_is(bigquery, acme).updated_at == seconds(11)


def test_a_suspension_run_again_after_a_resumption_does_not_suspend_again(
    bigquery: BigQuery, acme: TenantId
) -> None:
    suspension = asked(Suspension(acme), 10)
    carried_out(bigquery, suspension)
    carried_out(bigquery, asked(Resumption(acme), 30))
    assert "note" in carried_out(bigquery, suspension).facts
    assert now_is(bigquery, acme).state is ACTIVE


def test_a_tenant_that_is_so_already_stays_so(bigquery: BigQuery, acme: TenantId) -> None:
    assert "ACTIVE" in str(carried_out(bigquery, asked(Resumption(acme))).facts["note"])
    assert now_is(bigquery, acme) == tenant(acme)


def test_a_plan_changes_in_profile_subscription_and_quota(bigquery: BigQuery, whole: TenantId) -> None:
    one = asked(PlanChange(whole, Plan.SCALE))
    for _ in range(2):
        assert carried_out(bigquery, one).tenant.plan is Plan.SCALE
    assert rows(bigquery, "tenant_subscriptions", whole) == [("SCALE", 100)]
    assert rows(bigquery, "tenant_usage_quotas", whole) == [(None, 100)]


def test_a_plan_asked_for_earlier_does_not_replace_a_later_one(bigquery: BigQuery, whole: TenantId) -> None:
    earlier = asked(PlanChange(whole, Plan.STARTER), 10)
    carried_out(bigquery, asked(PlanChange(whole, Plan.SCALE), 20))
    carried_out(bigquery, earlier)
    assert now_is(bigquery, whole).plan is Plan.SCALE
    assert rows(bigquery, "tenant_subscriptions", whole) == [("SCALE", 100)]


def test_a_plan_and_a_suspension_asked_for_at_once_both_take_effect(
    bigquery: BigQuery, whole: TenantId
) -> None:
    plan, suspension = asked(PlanChange(whole, Plan.SCALE), 10), asked(Suspension(whole), 11)
    carried_out(bigquery, suspension)
    carried_out(bigquery, plan)
    found = now_is(bigquery, whole)
    assert (found.state, found.plan) == (SUSPENDED, Plan.SCALE)


def test_a_plan_killed_between_its_writes_is_finished_by_the_next_run(
    project: Settings, bigquery: BigQuery, whole: TenantId
) -> None:
    one = asked(PlanChange(whole, Plan.SCALE))
    with pytest.raises(KilledError):
        carried_out(DyingBigQuery(bigquery_client(project), writes=1), one)
    assert rows(bigquery, "tenant_subscriptions", whole) == [("PROFESSIONAL", 25)]
    carried_out(bigquery, asked(Suspension(whole), 15))
    carried_out(bigquery, one)
    assert rows(bigquery, "tenant_subscriptions", whole) == [("SCALE", 100)]


def test_an_offboarded_tenant_is_refused_its_keys_are_revoked_and_its_data_is_kept(
    bigquery: BigQuery, whole: TenantId, keys: Keys
) -> None:
    done = carried_out(bigquery, asked(Offboarding(whole, "left", retention_days=7), 10), keys)
    assert (done.tenant.state, done.tenant.state_reason) == (OFFBOARDING, "left")
    assert done.tenant.delete_after == seconds(10) + timedelta(days=7)
    assert [tenant_id for tenant_id, _ in keys.revoked] == [whole]
    assert "snapshots" not in done.facts
    assert bigquery.get_dataset(tenant_dataset(whole)) is not None


@pytest.mark.parametrize("writes", [1, 2, 4])
def test_an_offboarding_killed_anywhere_is_finished_by_the_next_run(
    project: Settings, bigquery: BigQuery, whole: TenantId, keys: Keys, writes: int
) -> None:
    one = asked(Offboarding(whole, take_snapshot=True))
    with pytest.raises(KilledError):
        carried_out(DyingBigQuery(bigquery_client(project), writes), one)
    assert now_is(bigquery, whole).state is OFFBOARDING

    done = carried_out(bigquery, one, keys, at=60)

    snapshots = done.facts["snapshots"]
    assert isinstance(snapshots, dict)
    assert set(snapshots) == {spec.name for spec in tenant_tables()}
    assert bigquery.list_tables(ARCHIVE_DATASET) == sorted(name.split(".")[1] for name in snapshots.values())
    assert keys.revoked


def test_an_offboarded_tenant_can_be_resumed_until_it_is_deleted(bigquery: BigQuery, acme: TenantId) -> None:
    carried_out(bigquery, asked(Offboarding(acme), 10))
    resumed = carried_out(bigquery, asked(Resumption(acme), 20)).tenant
    assert (resumed.state, resumed.delete_after) == (ACTIVE, None)
    assert refused(bigquery, asked(Deletion(acme), 30), at=40 * DAY).code is ErrorCode.FAILED_PRECONDITION


def test_a_tenant_is_deleted_when_its_retention_is_over_and_not_before(
    bigquery: BigQuery, whole: TenantId, keys: Keys
) -> None:
    carried_out(bigquery, asked(Offboarding(whole, "left", retention_days=1), 10))
    deletion = asked(Deletion(whole), 20)
    early = refused(bigquery, deletion, at=DAY)
    assert (early.code, early.message[:10]) == (ErrorCode.FAILED_PRECONDITION, "Wait until")
    assert bigquery.get_dataset(tenant_dataset(whole)) is not None

    for _ in range(2):
        done = carried_out(bigquery, deletion, keys, at=DAY + 10)
        assert (done.tenant.state, done.tenant.state_reason) == (DELETED, "left")
    assert bigquery.get_dataset(tenant_dataset(whole)) is None
    assert keys.revoked[0][0] == whole
    statuses = [
        row["status"]
        for row in bigquery.client.list_rows("tenants.tenant_subscriptions")
        if row["tenant_id"] == whole
    ]
    assert statuses == ["ENDED"]


def test_a_deletion_killed_before_the_dataset_goes_is_finished_and_can_no_longer_be_undone(
    project: Settings, bigquery: BigQuery, whole: TenantId
) -> None:
    carried_out(bigquery, asked(Offboarding(whole, retention_days=0), 10))
    deletion = asked(Deletion(whole), 20)
    with pytest.raises(KilledError):
        carried_out(DyingBigQuery(bigquery_client(project), writes=1), deletion, at=30)
    assert bigquery.get_dataset(tenant_dataset(whole)) is not None

    error = refused(bigquery, asked(Resumption(whole), 40), at=50)
    assert (error.code, "cannot be undone" in error.message) == (ErrorCode.TENANT_DELETED, True)
    carried_out(bigquery, deletion, at=60)
    assert bigquery.get_dataset(tenant_dataset(whole)) is None


@pytest.mark.parametrize(
    "what", [PlanChange(ACME.tenant_id, Plan.SCALE), Suspension(ACME.tenant_id), Offboarding(ACME.tenant_id)]
)
def test_what_nobody_knows_is_refused(bigquery: BigQuery, tenant_id: TenantId, what: Asked) -> None:
    error = refused(bigquery, asked(replace(what, tenant_id=tenant_id)))
    assert error.code is ErrorCode.TENANT_NOT_FOUND


ACME_ID = ACME.tenant_id
ALLOWED = {
    PlanChange(ACME_ID, Plan.SCALE): {ACTIVE, SUSPENDED},
    Suspension(ACME_ID): {ACTIVE, SUSPENDED},
    Resumption(ACME_ID): {ACTIVE, SUSPENDED, OFFBOARDING},
    Offboarding(ACME_ID): {ACTIVE, SUSPENDED},
    Deletion(ACME_ID): {OFFBOARDING, DELETED},
}


@pytest.mark.parametrize("what", ALLOWED, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("state", TenantState)
def test_what_may_be_asked_depends_on_the_state(what: Asked, state: TenantState) -> None:
    error = refusal(tenant(state=state), what)
    assert (error is None) == (state in ALLOWED[what])
    if error is not None:
        is_gone = state is DELETED
        assert error.code is (ErrorCode.TENANT_DELETED if is_gone else ErrorCode.FAILED_PRECONDITION)
        assert str(state) in error.message or "deleted" in error.message


def test_a_plan_that_the_tenant_has_is_so_already_and_an_offboarding_never_is() -> None:
    assert is_already_so(tenant(), PlanChange(ACME_ID, Plan.PROFESSIONAL))
    assert not is_already_so(tenant(), PlanChange(ACME_ID, Plan.SCALE))
    assert not is_already_so(tenant(state=OFFBOARDING), Offboarding(ACME_ID))
    assert is_already_so(tenant(state=SUSPENDED), Suspension(ACME_ID))


def rows(bigquery: BigQuery, table: str, tenant_id: TenantId) -> list[tuple[str | None, int]]:
    """Plan, where there is one, and runs a day."""
    return [
        (row.get("plan"), row["runs_per_day"])
        for row in bigquery.client.list_rows(f"tenants.{table}")
        if row["tenant_id"] == tenant_id
    ]
