from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery, Parameters
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings, load_settings
from convergence_orchestration.tenancy.model import NewTenant, Plan, RequestId, TenantId, TenantState
from convergence_orchestration.tenancy.provisioning import activate, claim, ensure_bootstrapped, provision
from convergence_orchestration.tenancy.registry import Tenants
from convergence_orchestration.warehouse.bootstrap import ensure_dataset
from convergence_orchestration.warehouse.catalogue import central_tables, tenant_tables, views
from convergence_orchestration.warehouse.model import tenant_dataset
from convergence_orchestration_tests.emulators import free_port, fresh_project_id
from convergence_orchestration_tests.tenancy.builders import ACME, FIRST, SECOND, seconds, tenant
from convergence_orchestration_tests.tenancy.dying import DyingBigQuery, KilledError

TABLES = sorted(spec.name for spec in tenant_tables())
WRITES = {"the claim": 1, "the third table": 4, "the subscription": 7, "the profile": 9}


def asked_for(tenant_id: TenantId) -> NewTenant:
    return replace(ACME, tenant_id=tenant_id)


def assert_one_tenant(bigquery: BigQuery, tenant_id: TenantId, request_id: RequestId) -> None:
    dataset = bigquery.get_dataset(tenant_dataset(tenant_id))
    assert dataset is not None
    assert dataset.labels["request_id"] == request_id
    assert dataset.labels["managed_by"] == "convergence-orchestration"
    assert bigquery.list_tables(tenant_dataset(tenant_id)) == TABLES
    profile = Tenants(bigquery).get(tenant_id)
    assert profile is not None
    assert (profile.state, profile.plan, profile.request_id) == (
        TenantState.ACTIVE,
        Plan.PROFESSIONAL,
        request_id,
    )
    assert rows_of(bigquery, tenant_id) == {
        "tenant_profiles": 1,
        "tenant_subscriptions": 1,
        "tenant_usage_quotas": 1,
    }


def rows_of(bigquery: BigQuery, tenant_id: TenantId) -> dict[str, int]:
    tables = ("tenant_profiles", "tenant_subscriptions", "tenant_usage_quotas")
    return {
        table: sum(row["tenant_id"] == tenant_id for row in bigquery.client.list_rows(f"tenants.{table}"))
        for table in tables
    }


def refusal(bigquery: BigQuery, request_id: RequestId, tenant_id: TenantId) -> PermanentError:
    with pytest.raises(PermanentError) as raised:
        provision(bigquery, request_id, asked_for(tenant_id), seconds(0))
    return raised.value


def test_a_tenant_has_its_dataset_its_tables_and_its_rows(bigquery: BigQuery, tenant_id: TenantId) -> None:
    provisioned = provision(bigquery, FIRST, asked_for(tenant_id), seconds(0))
    assert provisioned.dataset_created
    assert sorted(provisioned.tables_created) == TABLES
    assert provisioned.tenant == Tenants(bigquery).get(tenant_id)
    assert_one_tenant(bigquery, tenant_id, FIRST)


def test_provisioning_again_finds_everything_and_changes_nothing(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    first = provision(bigquery, FIRST, asked_for(tenant_id), seconds(0))
    again = provision(bigquery, FIRST, replace(asked_for(tenant_id), plan=Plan.SCALE), seconds(60))
    assert not again.dataset_created
    assert again.tables_created == ()
    assert again.tenant == first.tenant
    assert_one_tenant(bigquery, tenant_id, FIRST)


@pytest.mark.parametrize("writes", WRITES.values(), ids=WRITES)
def test_killed_behind_any_step_the_next_try_makes_one_tenant(
    project: Settings, bigquery: BigQuery, tenant_id: TenantId, writes: int
) -> None:
    dying = DyingBigQuery(bigquery_client(project), writes)
    with pytest.raises(KilledError):
        provision(dying, FIRST, asked_for(tenant_id), seconds(0))
    if writes < WRITES["the profile"]:
        assert Tenants(bigquery).get(tenant_id) is None, "the profile comes last"

    provisioned = provision(bigquery, FIRST, asked_for(tenant_id), seconds(60))

    assert not provisioned.dataset_created
    assert provisioned.tenant.state is TenantState.ACTIVE
    assert_one_tenant(bigquery, tenant_id, FIRST)


def test_of_two_requests_at_once_one_wins_and_nothing_of_it_is_touched(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    def attempt(request_id: RequestId) -> ErrorCode | None:
        try:
            provision(bigquery, request_id, asked_for(tenant_id), seconds(0))
        except ConvergenceError as error:
            return error.code
        return None

    with ThreadPoolExecutor(2) as pool:
        outcomes = dict(zip((FIRST, SECOND), pool.map(attempt, (FIRST, SECOND)), strict=True))

    assert set(outcomes.values()) == {None, ErrorCode.TENANT_EXISTS}
    winner = next(request_id for request_id, code in outcomes.items() if code is None)
    assert_one_tenant(bigquery, tenant_id, winner)


def test_a_claimed_id_is_refused_with_the_request_that_owns_it_and_stays_as_it_is(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    claim(bigquery, tenant_id, FIRST)
    error = refusal(bigquery, SECOND, tenant_id)
    assert error.code is ErrorCode.TENANT_EXISTS
    assert error.details == {"tenant_id": tenant_id, "claimed_by": FIRST}
    assert FIRST in error.message
    assert bigquery.list_tables(tenant_dataset(tenant_id)) == []
    assert set(rows_of(bigquery, tenant_id).values()) == {0}


def test_an_active_tenants_id_is_refused_before_anything_is_created(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    Tenants(bigquery).upsert_profile(tenant(tenant_id, TenantState.DELETED))
    error = refusal(bigquery, SECOND, tenant_id)
    assert (error.code, error.details["claimed_by"]) == (ErrorCode.TENANT_EXISTS, FIRST)
    assert bigquery.get_dataset(tenant_dataset(tenant_id)) is None


def test_a_dataset_that_somebody_else_made_is_not_taken_over(bigquery: BigQuery, tenant_id: TenantId) -> None:
    bigquery.create_dataset(tenant_dataset(tenant_id), description="By hand.", labels={})
    error = refusal(bigquery, FIRST, tenant_id)
    assert (error.code, error.details["claimed_by"]) == (ErrorCode.TENANT_EXISTS, None)
    assert bigquery.list_tables(tenant_dataset(tenant_id)) == []


@pytest.mark.parametrize("state", [TenantState.OFFBOARDING, TenantState.DELETED])
def test_a_tenant_on_its_way_out_is_not_made_again(
    bigquery: BigQuery, tenant_id: TenantId, state: TenantState
) -> None:
    Tenants(bigquery).upsert_profile(tenant(tenant_id, state))
    error = refusal(bigquery, FIRST, tenant_id)
    assert (error.code, error.details["state"]) == (ErrorCode.FAILED_PRECONDITION, str(state))
    assert bigquery.get_dataset(tenant_dataset(tenant_id)) is None


def test_a_suspended_tenant_stays_suspended_when_its_request_is_run_again(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    provision(bigquery, FIRST, asked_for(tenant_id), seconds(0))
    Tenants(bigquery).upsert_profile(tenant(tenant_id, TenantState.SUSPENDED))
    again = provision(bigquery, FIRST, asked_for(tenant_id), seconds(60))
    assert again.tenant.state is TenantState.SUSPENDED


def test_a_run_that_was_slow_does_not_wake_a_tenant_suspended_since(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    suspended = tenant(tenant_id, TenantState.SUSPENDED)
    Tenants(bigquery).upsert_profile(suspended)
    assert activate(Tenants(bigquery), FIRST, asked_for(tenant_id), seconds(60)) == suspended
    assert Tenants(bigquery).get(tenant_id) == suspended


def test_a_profile_of_another_request_is_found_at_the_very_end_too(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    tenants = Tenants(bigquery)
    tenants.upsert_profile(tenant(tenant_id))
    with pytest.raises(PermanentError) as raised:
        activate(tenants, SECOND, asked_for(tenant_id), seconds(0))
    assert raised.value.code is ErrorCode.TENANT_EXISTS
    assert tenants.get(tenant_id) == tenant(tenant_id)


class VanishingProfile(BigQuery):
    """Somebody restores the table between the refused write and the look at it."""

    def execute(self, sql: str, params: Parameters = ()) -> int:
        assert sql.startswith("--"), params
        return 0


def test_a_profile_that_vanishes_while_it_is_written_is_worth_another_try(
    project: Settings, tenant_id: TenantId
) -> None:
    with pytest.raises(TransientError, match="Try again"):
        activate(Tenants(VanishingProfile(bigquery_client(project))), FIRST, asked_for(tenant_id), seconds(0))


class VanishingDataset(BigQuery):
    """Somebody deletes the dataset between the refused creation and the look at it."""

    def create_dataset(self, dataset_id: str, *, description: str, labels: Mapping[str, str]) -> bool:
        assert labels, (dataset_id, description)
        return False


def test_a_dataset_that_vanishes_while_it_is_claimed_is_worth_another_try(
    project: Settings, tenant_id: TenantId
) -> None:
    with pytest.raises(TransientError, match="Try again"):
        claim(VanishingDataset(bigquery_client(project)), tenant_id, FIRST)


def test_a_bootstrapped_platform_passes(bigquery: BigQuery) -> None:
    ensure_bootstrapped(bigquery)


def test_without_a_bootstrap_it_says_to_bootstrap_first(project: Settings) -> None:
    fresh = BigQuery(bigquery_client(project.model_copy(update={"gcp_project_id": fresh_project_id()})))
    for prepare in (lambda: None, lambda: ensure_dataset(fresh)):
        prepare()
        with pytest.raises(PermanentError, match="Bootstrap first: POST /api/v1/admin/bootstrap") as raised:
            ensure_bootstrapped(fresh)
        assert raised.value.code is ErrorCode.NOT_BOOTSTRAPPED
        names = {table.name for table in central_tables()} | {view.name for view in views()}
        assert raised.value.details["missing"] == sorted(names)


def test_a_bigquery_that_does_not_answer_is_no_missing_bootstrap() -> None:
    settings = load_settings(_env_file=None, bigquery_emulator_host=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(TransientError) as raised:
        ensure_bootstrapped(BigQuery(bigquery_client(settings), total_seconds=0.1))
    assert raised.value.code is ErrorCode.UNAVAILABLE
