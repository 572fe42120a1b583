from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from google.cloud import bigquery as google

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery, Parameters, access_entry
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.asked import NewTenant
from convergence_orchestration.tenancy.model import Plan, TenantId, TenantState
from convergence_orchestration.tenancy.provisioning import (
    Limits,
    Outcomes,
    Provisioned,
    Provisioning,
    Wanted,
    claim,
)
from convergence_orchestration.tenancy.registry import Tenants
from convergence_orchestration.tenancy.request_model import RequestId, new_request_id
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration.warehouse.model import tenant_dataset
from convergence_orchestration_tests.tenancy.builders import ACME, FIRST, SECOND, seconds, tenant
from convergence_orchestration_tests.tenancy.dying import DyingBigQuery, KilledError

TABLES = sorted(spec.name for spec in tenant_tables())
WRITES = {"the claim": 1, "the third table": 4, "the subscription": 7, "the profile": 9}
FAST = Limits(calls_at_once=4, tables_per_second=1000)


def wanted(tenant_id: TenantId, request_id: RequestId = FIRST, plan: Plan = Plan.PROFESSIONAL) -> Wanted:
    return Wanted(request_id, replace(ACME, tenant_id=tenant_id, plan=plan), seconds(0))


def outcomes(bigquery: BigQuery, *asked: Wanted, at: float = 0) -> Outcomes:
    return Provisioning(bigquery, FAST).provision(asked, seconds(at))


def provisioned(
    bigquery: BigQuery, tenant_id: TenantId, request_id: RequestId = FIRST, at: float = 0
) -> Provisioned:
    found = outcomes(bigquery, wanted(tenant_id, request_id), at=at)
    assert found.failed == {}
    return found.provisioned[request_id]


def refusal(bigquery: BigQuery, request_id: RequestId, tenant_id: TenantId) -> PermanentError:
    found = outcomes(bigquery, wanted(tenant_id, request_id))
    assert found.provisioned == {}
    error = found.failed[request_id]
    assert isinstance(error, PermanentError)
    return error


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


def test_a_tenant_has_its_dataset_its_tables_and_its_rows(bigquery: BigQuery, tenant_id: TenantId) -> None:
    made = provisioned(bigquery, tenant_id)
    assert made.dataset_created
    assert sorted(made.tables_created) == TABLES
    assert made.tenant == Tenants(bigquery).get(tenant_id)
    assert_one_tenant(bigquery, tenant_id, FIRST)


def test_provisioning_again_finds_everything_and_changes_nothing(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    first = provisioned(bigquery, tenant_id)
    again = outcomes(bigquery, wanted(tenant_id, plan=Plan.SCALE), at=60).provisioned[FIRST]
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
        outcomes(dying, wanted(tenant_id))
    if writes < WRITES["the profile"]:
        assert Tenants(bigquery).get(tenant_id) is None, "the profile comes last"

    made = provisioned(bigquery, tenant_id, at=60)

    assert not made.dataset_created
    assert made.tenant.state is TenantState.ACTIVE
    assert_one_tenant(bigquery, tenant_id, FIRST)


def test_of_two_requests_at_once_one_wins_and_nothing_of_it_is_touched(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    def attempt(request_id: RequestId) -> ErrorCode | None:
        error = outcomes(bigquery, wanted(tenant_id, request_id)).failed.get(request_id)
        return error.code if error else None

    with ThreadPoolExecutor(2) as pool:
        codes = dict(zip((FIRST, SECOND), pool.map(attempt, (FIRST, SECOND)), strict=True))

    assert set(codes.values()) == {None, ErrorCode.TENANT_EXISTS}
    winner = next(request_id for request_id, code in codes.items() if code is None)
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
    Tenants(bigquery).activate_profiles([tenant(tenant_id)])
    error = refusal(bigquery, SECOND, tenant_id)
    assert (error.code, error.details["claimed_by"]) == (ErrorCode.TENANT_EXISTS, FIRST)
    assert bigquery.get_dataset(tenant_dataset(tenant_id)) is None


def test_a_dataset_that_somebody_else_made_is_not_taken_over(bigquery: BigQuery, tenant_id: TenantId) -> None:
    bigquery.create_dataset(tenant_dataset(tenant_id), description="By hand.", labels={})
    error = refusal(bigquery, FIRST, tenant_id)
    assert (error.code, error.details["claimed_by"]) == (ErrorCode.TENANT_EXISTS, None)
    assert bigquery.list_tables(tenant_dataset(tenant_id)) == []


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (TenantState.OFFBOARDING, ErrorCode.FAILED_PRECONDITION),
        (TenantState.DELETED, ErrorCode.TENANT_DELETED),
    ],
)
def test_a_tenant_on_its_way_out_is_not_made_again(
    bigquery: BigQuery, tenant_id: TenantId, state: TenantState, code: ErrorCode
) -> None:
    Tenants(bigquery).activate_profiles([tenant(tenant_id, state)])
    error = refusal(bigquery, FIRST, tenant_id)
    assert (error.code, error.details["state"]) == (code, str(state))
    assert bigquery.get_dataset(tenant_dataset(tenant_id)) is None


def test_the_id_of_a_deleted_tenant_is_given_to_nobody(bigquery: BigQuery, tenant_id: TenantId) -> None:
    Tenants(bigquery).activate_profiles([tenant(tenant_id, TenantState.DELETED)])
    assert refusal(bigquery, SECOND, tenant_id).code is ErrorCode.TENANT_DELETED
    assert bigquery.get_dataset(tenant_dataset(tenant_id)) is None


def test_a_suspended_tenant_stays_suspended_when_its_request_is_run_again(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    Tenants(bigquery).activate_profiles([tenant(tenant_id, TenantState.SUSPENDED)])
    assert provisioned(bigquery, tenant_id, at=60).tenant.state is TenantState.SUSPENDED


def test_many_tenants_are_made_by_few_statements_and_one_that_is_taken_fails_alone(
    project: Settings, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    ids = [TenantId(f"{tenant_id}_{letter}") for letter in "abcd"]
    requests = {each: new_request_id() for each in ids}
    bigquery.create_dataset(tenant_dataset(ids[1]), description="In the way.", labels={})
    counting = CountingBigQuery(bigquery_client(project))

    found = outcomes(counting, *(wanted(each, requests[each]) for each in ids))

    assert {each: found.failed[requests[each]].code for each in ids if requests[each] in found.failed} == {
        ids[1]: ErrorCode.TENANT_EXISTS
    }
    assert counting.statements == 3
    for each in (ids[0], ids[2], ids[3]):
        assert found.provisioned[requests[each]].dataset_created
        assert_one_tenant(bigquery, each, requests[each])
    assert Tenants(bigquery).get(ids[1]) is None
    for each in ids:
        bigquery.delete_dataset(tenant_dataset(each))


def test_a_tenant_of_which_a_table_fails_fails_alone_and_is_finished_later(
    project: Settings, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    unlucky, lucky = TenantId(f"{tenant_id}_unlucky"), TenantId(f"{tenant_id}_lucky")
    failing = BigQueryWithoutTables(bigquery_client(project), tenant_dataset(unlucky))

    found = outcomes(failing, wanted(unlucky), wanted(lucky, SECOND))

    assert isinstance(found.failed[FIRST], TransientError)
    assert_one_tenant(bigquery, lucky, SECOND)
    assert Tenants(bigquery).get(unlucky) is None
    assert provisioned(bigquery, unlucky, at=60).tenant.state is TenantState.ACTIVE
    for each in (unlucky, lucky):
        bigquery.delete_dataset(tenant_dataset(each))


def test_a_profile_written_since_we_looked_stays_as_it_is(
    project: Settings, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    suspended = tenant(tenant_id, TenantState.SUSPENDED)
    Tenants(bigquery).activate_profiles([suspended])
    late = LateBigQuery(bigquery_client(project))

    assert outcomes(late, wanted(tenant_id), at=60).provisioned[FIRST].tenant == suspended
    error = outcomes(LateBigQuery(bigquery_client(project)), wanted(tenant_id, SECOND)).failed[SECOND]
    assert error.code is ErrorCode.TENANT_EXISTS
    assert Tenants(bigquery).get(tenant_id) == suspended


def test_the_tenants_principal_may_write_its_dataset_and_nobody_elses_access_changes(
    bigquery: BigQuery, tenant_id: TenantId
) -> None:
    principal = "serviceAccount:etl@acme.iam.gserviceaccount.com"
    asked = replace(wanted(tenant_id), tenant=NewTenant(tenant_id, principal=principal))
    for _ in range(2):
        made = outcomes(bigquery, asked).provisioned[FIRST]
        assert made.tenant.principal == principal
        entries = access_of(bigquery, tenant_id)
        assert entries.count(access_entry(principal)) == 1
        assert {entry.entity_id for entry in entries} >= {"projectOwners", "projectWriters", "projectReaders"}


def test_a_principal_named_after_the_claim_gets_access_too(bigquery: BigQuery, tenant_id: TenantId) -> None:
    claim(bigquery, tenant_id, FIRST)
    claim(bigquery, tenant_id, FIRST, "user:ana@acme.example")
    assert access_entry("user:ana@acme.example") in access_of(bigquery, tenant_id)


def access_of(bigquery: BigQuery, tenant_id: TenantId) -> list[google.AccessEntry]:
    dataset = bigquery.get_dataset(tenant_dataset(tenant_id))
    assert dataset is not None
    return list(dataset.access_entries)


class CountingBigQuery(BigQuery):
    """Counts the statements that change something."""

    statements = 0

    def execute(self, sql: str, params: Parameters = ()) -> int:
        self.statements += 1
        return super().execute(sql, params)


class BigQueryWithoutTables(BigQuery):
    """Creates no table in one dataset."""

    def __init__(self, client: google.Client, dataset_id: str) -> None:
        super().__init__(client)
        self._dataset_id = dataset_id

    def create_table(self, table: google.Table) -> bool:
        if table.dataset_id == self._dataset_id:
            raise TransientError(ErrorCode.UNAVAILABLE, "Try again.")
        return super().create_table(table)


class LateBigQuery(BigQuery):
    """Its first look sees nothing yet."""

    has_looked = False

    def query(self, sql: str, params: Parameters = ()) -> list[google.Row]:
        if self.has_looked:
            return super().query(sql, params)
        self.has_looked = True
        return []


class VanishingProfile(BigQuery):
    """Somebody restores the table between the refused write and the look at it."""

    def execute(self, sql: str, params: Parameters = ()) -> int:
        assert sql.startswith("--"), params
        return 0


def test_a_profile_that_vanishes_while_it_is_written_is_worth_another_try(
    project: Settings, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    assert bigquery.project == project.gcp_project_id
    found = outcomes(VanishingProfile(bigquery_client(project)), wanted(tenant_id))
    assert isinstance(found.failed[FIRST], TransientError)


class VanishingDataset(BigQuery):
    """Somebody deletes the dataset between the refused creation and the look at it."""

    def create_dataset(
        self, dataset_id: str, *, description: str, labels: Mapping[str, str], writer: str = ""
    ) -> bool:
        assert labels, (dataset_id, description, writer)
        return False


def test_a_dataset_that_vanishes_while_it_is_claimed_is_worth_another_try(
    project: Settings, tenant_id: TenantId
) -> None:
    with pytest.raises(TransientError, match="Try again"):
        claim(VanishingDataset(bigquery_client(project)), tenant_id, FIRST)
