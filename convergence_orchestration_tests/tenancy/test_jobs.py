from collections.abc import Iterator, Mapping
from functools import partial

import dagster as dg
import pytest

from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.resources import settings_resources
from convergence_orchestration.keys.revoking import revoke_all
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.asked import NewTenant, RequestKind, Suspension
from convergence_orchestration.tenancy.assets import asset_key, tenant_assets
from convergence_orchestration.tenancy.by_hand.jobs import tenancy_forms
from convergence_orchestration.tenancy.jobs import (
    delete_expired_tenants,
    fulfil_tenant_requests,
    tenancy_jobs,
)
from convergence_orchestration.tenancy.model import Plan, TenantId, TenantState
from convergence_orchestration.tenancy.provisioning import claim
from convergence_orchestration.tenancy.registry import StateChange, Tenants
from convergence_orchestration.tenancy.request_model import (
    RequestState,
    new_request_id,
    request_id_of_deletion,
    request_id_of_run,
)
from convergence_orchestration.tenancy.requests import TenantRequests
from convergence_orchestration.tenancy.resources import tenancy_resources
from convergence_orchestration.warehouse.catalogue import tenant_tables, to_bigquery
from convergence_orchestration.warehouse.model import tenant_dataset
from convergence_orchestration_tests.emulators import EmulatedSettings, fresh_project_id
from convergence_orchestration_tests.keys.builders import AUDIT
from convergence_orchestration_tests.tenancy.builders import FIRST, SECOND, event, seconds, tenant
from convergence_orchestration_tests.tenancy.dagster_runs import (
    executed_again,
    onboard_tenant_as_deployed,
    undescribed,
)

TABLES = {spec.name for spec in tenant_tables()}


FORMS = {job.name: job for job in tenancy_forms()}


class Platform:
    """Runs the jobs and assets of this domain in this process against the emulator."""

    def __init__(self, project: Settings, instance: dg.DagsterInstance) -> None:
        self.resources: dict[str, object] = {
            "bigquery": settings_resources(project)["bigquery"],
            **tenancy_resources(project),
            "revoke_keys": partial(revoke_all, audit=AUDIT),
        }
        self.instance = instance

    def run(
        self,
        job: dg.JobDefinition,
        config: Mapping[str, object] | None = None,
        tags: dict[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        (op,) = (node.name for node in job.nodes)
        return job.execute_in_process(
            run_config={"ops": {op: {"config": config}}} if config else {},
            resources=self.resources,
            instance=self.instance,
            tags=tags,
            raise_on_error=False,
        )

    def onboard(
        self, config: Mapping[str, object], tags: dict[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        return self.run(FORMS["onboard_tenant"], config, tags)

    def materialize(self, tenant_id: TenantId, *tables: str) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            tenant_assets(),
            partition_key=tenant_id,
            selection=[asset_key(table) for table in tables],
            resources=self.resources,
            instance=self.instance,
            raise_on_error=False,
        )

    @property
    def partitions(self) -> set[str]:
        return set(self.instance.get_dynamic_partitions("tenants"))


@pytest.fixture
def platform(project: Settings, bigquery: BigQuery) -> Iterator[Platform]:
    assert bigquery.project == project.gcp_project_id
    with dg.DagsterInstance.ephemeral() as instance:
        yield Platform(project, instance)


def materializations(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, object]]:
    """Metadata by table."""
    found: dict[str, dict[str, object]] = {}
    for each in result.all_events:
        if each.is_step_materialization:
            made = each.step_materialization_data.materialization
            assert made.asset_key == asset_key(made.asset_key.path[-1])
            found[made.asset_key.path[-1]] = {
                "partition": made.partition,
                **{name: value.value for name, value in made.metadata.items()},
            }
    return found


def metadata_of_output(result: dg.ExecuteInProcessResult) -> Mapping[str, dg.MetadataValue]:
    (output,) = [each for each in result.all_events if each.is_successful_output]
    return output.step_output_data.metadata


def failure(result: dg.ExecuteInProcessResult) -> tuple[object, str]:
    assert not result.success
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    (failed,) = [each for each in result.all_events if each.is_step_failure]
    declared = failed.step_failure_data.user_failure_data
    assert declared is not None
    return declared.metadata["code"].value, declared.description or ""


def test_a_tenant_id_alone_makes_a_tenant_with_its_partition_and_its_materializations(
    platform: Platform, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    result = platform.onboard({"tenant_id": tenant_id})
    assert result.success
    profile = Tenants(bigquery).get(tenant_id)
    assert profile is not None
    assert (profile.state, profile.plan) == (TenantState.ACTIVE, Plan.STARTER)
    assert platform.partitions == {tenant_id}
    shown = materializations(result)
    assert set(shown) == TABLES
    for table, metadata in shown.items():
        assert metadata["partition"] == tenant_id
        assert metadata["action"] == "created"
        assert metadata["dataset"] == tenant_dataset(tenant_id)
        assert metadata["dataset_created"] is True
        assert str(metadata["link"]).endswith(f"/datasets/tenant_{tenant_id}/tables/{table}")
    request = TenantRequests(bigquery).get(request_id_of_run(result.run_id))
    assert request is not None
    assert (request.state, request.run_id) == (RequestState.DONE, result.run_id)


def test_re_executing_a_run_continues_its_request(
    project: Settings, platform: Platform, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    bigquery.create_dataset(tenant_dataset(tenant_id), description="In the way.", labels={})
    first = platform.onboard({"tenant_id": tenant_id, "plan": "SCALE"}, {"convergence/actor": "alice"})
    assert failure(first)[0] == ErrorCode.TENANT_EXISTS
    bigquery.delete_dataset(tenant_dataset(tenant_id))

    again = executed_again(onboard_tenant_as_deployed, project, platform.instance, first.run_id)

    assert again.success
    events = TenantRequests(bigquery).events(request_id_of_run(first.run_id))
    assert [(event.attempt, event.state) for event in events] == [
        (1, RequestState.REQUESTED),
        (1, RequestState.RUNNING),
        (1, RequestState.FAILED),
        (2, RequestState.RUNNING),
        (2, RequestState.DONE),
    ]
    assert (events[0].actor, events[-1].run_id) == ("alice", again.run_id)
    profile = Tenants(bigquery).get(tenant_id)
    assert profile is not None
    assert (profile.plan, profile.request_id) == (Plan.SCALE, events[0].request_id)


def test_the_requests_that_the_api_wrote_down_are_carried_out_and_one_that_fails_is_listed(
    platform: Platform, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    good, bad = new_request_id(), new_request_id()
    TenantRequests(bigquery).append(
        event(RequestState.REQUESTED, 0, good, asked=NewTenant(tenant_id)),
        event(RequestState.REQUESTED, 0, bad, asked=Suspension(TenantId("nobody"))),
    )
    result = platform.run(fulfil_tenant_requests, {"request_ids": [good, bad]})
    assert result.success
    assert platform.partitions == {tenant_id}
    assert len(materializations(result)) == len(TABLES)
    shown = metadata_of_output(result)
    assert (shown["done"].value, shown["failed"].value) == (1, 1)
    failures = shown["failures"]
    assert isinstance(failures, dg.TableMetadataValue)
    (failed,) = failures.records
    assert (failed.data["tenant"], failed.data["code"]) == ("nobody", "tenant_not_found")
    assert platform.run(fulfil_tenant_requests, {"request_ids": [good, bad]}).success, "one is done"


def test_a_request_id_of_another_form_fails_the_run(platform: Platform) -> None:
    code, message = failure(platform.run(fulfil_tenant_requests, {"request_ids": ["req_1"]}))
    assert (code, message[:17]) == (ErrorCode.INVALID_ARGUMENT, "Give a request id")


def test_without_a_bootstrap_a_run_says_so(emulated_settings: EmulatedSettings, platform: Platform) -> None:
    platform.resources["bigquery"] = settings_resources(emulated_settings(fresh_project_id()))["bigquery"]
    assert failure(platform.onboard({"tenant_id": "acme"}))[0] == ErrorCode.NOT_BOOTSTRAPPED


def test_a_tenant_goes_through_its_life_by_the_forms(
    platform: Platform, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    tenants = Tenants(bigquery)
    platform.onboard({"tenant_id": tenant_id})
    for job, config, state, plan in (
        ("change_tenant_plan", {"plan": "SCALE"}, TenantState.ACTIVE, Plan.SCALE),
        ("suspend_tenant", {"reason": "unpaid"}, TenantState.SUSPENDED, Plan.SCALE),
        ("resume_tenant", {}, TenantState.ACTIVE, Plan.SCALE),
        ("offboard_tenant", {"confirm": tenant_id, "retention_days": 0}, TenantState.OFFBOARDING, Plan.SCALE),
    ):
        assert platform.run(FORMS[job], {"tenant_id": tenant_id, **config}).success, job
        found = tenants.get(tenant_id)
        assert found is not None
        assert (found.state, found.plan) == (state, plan), job
    assert platform.partitions == {tenant_id}

    assert platform.run(delete_expired_tenants).success

    found = tenants.get(tenant_id)
    assert found is not None
    assert found.state is TenantState.DELETED
    assert bigquery.get_dataset(tenant_dataset(tenant_id)) is None
    assert platform.partitions == set()
    told = [request.kind for request in TenantRequests(bigquery).all_for(tenant_id)]
    assert told == list(RequestKind)
    assert (
        failure(platform.run(FORMS["resume_tenant"], {"tenant_id": tenant_id}))[0] == ErrorCode.TENANT_DELETED
    )
    assert failure(platform.onboard({"tenant_id": tenant_id}))[0] == ErrorCode.TENANT_DELETED


def test_a_confirmation_that_differs_changes_nothing(
    platform: Platform, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    Tenants(bigquery).activate_profiles([tenant(tenant_id)])
    result = platform.run(FORMS["offboard_tenant"], {"tenant_id": tenant_id, "confirm": "yes"})
    assert failure(result)[1].startswith(f"Give confirm={tenant_id}")
    assert Tenants(bigquery).get(tenant_id) == tenant(tenant_id)
    assert TenantRequests(bigquery).all_for(tenant_id) == []


def test_a_tenant_is_not_deleted_while_a_run_works_on_it(
    platform: Platform, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    Tenants(bigquery).activate_profiles([tenant(tenant_id)])
    leaving = StateChange(
        tenant_id,
        FIRST,
        seconds(1),
        frozenset({TenantState.ACTIVE}),
        TenantState.OFFBOARDING,
        delete_after=seconds(1),
    )
    Tenants(bigquery).change_state(leaving, seconds(1))
    in_flight = platform.instance.create_run_for_job(
        FORMS["suspend_tenant"],
        run_config={"ops": {"suspend": {"config": {"tenant_id": tenant_id}}}},
        tags={"dagster/partition": tenant_id},
        status=dg.DagsterRunStatus.STARTED,
    )
    result = platform.run(delete_expired_tenants)
    assert not result.success
    deletion = TenantRequests(bigquery).get(request_id_of_deletion(FIRST))
    assert deletion is not None
    assert (deletion.state, deletion.error_code) == (RequestState.FAILED, ErrorCode.UNAVAILABLE)
    assert in_flight.run_id in (deletion.reason or "")

    platform.instance.report_run_canceled(in_flight)

    assert platform.run(delete_expired_tenants).success
    found = Tenants(bigquery).get(tenant_id)
    assert found is not None
    assert found.state is TenantState.DELETED


def test_an_id_that_is_taken_fails_once_and_adds_no_partition(
    platform: Platform, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    claim(bigquery, tenant_id, SECOND)
    result = platform.onboard({"tenant_id": tenant_id})
    code, message = failure(result)
    assert code == ErrorCode.TENANT_EXISTS
    assert message.startswith("Choose another tenant id")
    assert platform.partitions == set()
    assert materializations(result) == {}
    request = TenantRequests(bigquery).get(request_id_of_run(result.run_id))
    assert request is not None
    assert (request.state, request.error_code) == (RequestState.FAILED, ErrorCode.TENANT_EXISTS)


@pytest.mark.parametrize(
    ("config", "code", "says"),
    [
        ({"tenant_id": "Acme"}, ErrorCode.INVALID_TENANT_ID, "Choose a tenant id"),
        ({"tenant_id": "tenants"}, ErrorCode.RESERVED_TENANT_ID, "Choose another tenant id"),
        ({"tenant_id": "acme", "plan": "GOLD"}, ErrorCode.INVALID_ARGUMENT, "Choose one of the plans"),
        ({"tenant_id": "acme", "admin_email": "ops"}, ErrorCode.INVALID_ARGUMENT, "Give admin_email"),
        ({"tenant_id": "acme", "principal": "ana"}, ErrorCode.INVALID_ARGUMENT, "Give principal"),
    ],
)
def test_a_wrong_config_fails_once_with_what_to_do_and_makes_nothing(
    platform: Platform, bigquery: BigQuery, config: dict[str, str], code: ErrorCode, says: str
) -> None:
    found, message = failure(platform.onboard(config))
    assert found == code
    assert message.startswith(says)
    assert bigquery.get_dataset("tenant_acme") is None


def test_materializing_a_partition_makes_what_is_missing_of_what_was_chosen(
    platform: Platform, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    existing, chosen, *_ = tenant_tables()
    Tenants(bigquery).activate_profiles([tenant(tenant_id)])
    claim(bigquery, tenant_id, FIRST)
    bigquery.create_table(to_bigquery(existing, bigquery.project, tenant_dataset(tenant_id)))
    platform.instance.add_dynamic_partitions("tenants", [tenant_id])

    result = platform.materialize(tenant_id, existing.name, chosen.name)

    assert result.success
    shown = materializations(result)
    assert {table: metadata["action"] for table, metadata in shown.items()} == {
        existing.name: "existed",
        chosen.name: "created",
    }
    assert {metadata["partition"] for metadata in shown.values()} == {tenant_id}
    assert bigquery.list_tables(tenant_dataset(tenant_id)) == sorted([existing.name, chosen.name])


def test_a_partition_without_a_tenant_gets_no_tables(
    platform: Platform, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    platform.instance.add_dynamic_partitions("tenants", [tenant_id])
    assert failure(platform.materialize(tenant_id, *TABLES))[0] == ErrorCode.TENANT_NOT_FOUND
    Tenants(bigquery).activate_profiles([tenant(tenant_id, TenantState.DELETED)])
    assert failure(platform.materialize(tenant_id, *TABLES))[0] == ErrorCode.TENANT_NOT_ACTIVE
    assert bigquery.get_dataset(tenant_dataset(tenant_id)) is None


def test_the_tenants_tables_are_assets_partitioned_by_tenant() -> None:
    (assets,) = tenant_assets()
    assert assets.keys == {asset_key(table) for table in TABLES}
    assert isinstance(assets.partitions_def, dg.DynamicPartitionsDefinition)
    assert assets.partitions_def.name == "tenants"
    for spec in assets.specs:
        assert spec.description
        assert isinstance(spec.metadata["dagster/column_schema"], dg.TableSchema)


def test_every_field_of_every_config_is_described() -> None:
    for job in [*tenancy_jobs(), *tenancy_forms()]:
        assert job.description
        assert [field for node in job.all_node_defs for field in undescribed(node)] == [], job.name
