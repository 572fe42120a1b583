from collections.abc import Callable
from math import inf

import pytest
from google.cloud.bigquery import ScalarQueryParameter

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.follower import TenantFollower, read_profiles
from convergence_orchestration.tenancy.index import KnownTenant, TenantIndex, let_in
from convergence_orchestration.tenancy.model import Plan, TenantId, TenantState
from convergence_orchestration.tenancy.registry import StateChange, Tenants
from convergence_orchestration_tests.tenancy.builders import SECOND, seconds, tenant

ACME = TenantId("acme")


def known(state: TenantState = TenantState.ACTIVE, at: float = 0) -> KnownTenant:
    return KnownTenant.of(tenant(state=state, at=at))


def following(index: TenantIndex, read: Callable[[], list[KnownTenant]], at: float = 0) -> TenantFollower:
    return TenantFollower(read, index, interval=60, clock=lambda: seconds(at))


def test_a_changed_profile_is_known_after_one_look(bigquery: BigQuery, tenant_id: TenantId) -> None:
    index, tenants = TenantIndex(), Tenants(bigquery)
    follower = following(index, lambda: read_profiles(bigquery), at=7)
    assert index.age(seconds(7)) == inf
    tenants.activate_profiles([tenant(tenant_id)])
    follower.refresh()
    assert index.get(tenant_id) == KnownTenant.of(tenant(tenant_id))

    for at, state in enumerate((TenantState.SUSPENDED, TenantState.ACTIVE), start=1):
        others = frozenset(TenantState) - {state}
        assert tenants.change_state(StateChange(tenant_id, SECOND, seconds(at), others, state), seconds(at))
        follower.refresh()
        found = index.get(tenant_id)
        assert found is not None
        assert found.state is state
    assert index.age(seconds(9)) == 2


def test_before_the_bootstrap_there_is_no_tenant(settings: Settings) -> None:
    assert read_profiles(BigQuery(bigquery_client(settings))) == []


def test_profiles_that_cannot_be_read_are_not_no_profiles(settings: Settings) -> None:
    unreachable = settings.model_copy(update={"bigquery_emulator_host": "http://127.0.0.1:1"})
    index = TenantIndex()
    index.swap([known()], seconds(0))
    warehouse = BigQuery(bigquery_client(unreachable), total_seconds=0.2)

    with pytest.raises(TransientError):
        following(index, lambda: read_profiles(warehouse)).refresh()

    assert index.get(ACME) == known()
    assert index.age(seconds(5)) == 5


def test_a_profile_on_a_plan_of_a_newer_version_is_left_out_alone(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    Tenants(bigquery).activate_profiles([tenant(tenant_id)])
    change = "UPDATE tenants.tenant_profiles SET plan = @plan WHERE tenant_id = @tenant_id"
    of_tenant = ScalarQueryParameter("tenant_id", "STRING", tenant_id)
    bigquery.execute(change, [ScalarQueryParameter("plan", "STRING", "GOLD"), of_tenant])

    assert tenant_id not in {one.tenant_id for one in read_profiles(bigquery)}

    bigquery.execute(change, [ScalarQueryParameter("plan", "STRING", str(Plan.SCALE)), of_tenant])
    assert tenant_id in {one.tenant_id for one in read_profiles(bigquery)}


def test_the_newer_of_two_profiles_of_a_tenant_counts() -> None:
    index = TenantIndex()
    newer, older = known(TenantState.SUSPENDED, at=2), known(at=1)

    following(index, lambda: [newer, older]).refresh()

    assert index.get(ACME) == newer
    assert len(index) == 1


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (None, ErrorCode.TENANT_NOT_FOUND),
        (known(TenantState.DELETED), ErrorCode.TENANT_NOT_FOUND),
        (known(TenantState.SUSPENDED), ErrorCode.TENANT_SUSPENDED),
        (known(TenantState.OFFBOARDING), ErrorCode.TENANT_SUSPENDED),
        (known(TenantState.PROVISIONING), ErrorCode.TENANT_NOT_ACTIVE),
    ],
)
def test_only_an_active_tenant_is_let_in(one: KnownTenant | None, code: ErrorCode) -> None:
    assert let_in(known()) == known()
    with pytest.raises(PermanentError) as raised:
        let_in(one)
    assert raised.value.code is code
