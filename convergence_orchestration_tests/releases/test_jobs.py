from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import dagster as dg
import pytest

from convergence_orchestration.audit.resources import RunTrails, audit_resources
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.resources import BigQueryConnection, settings_resources
from convergence_orchestration.releases.assets import RELEASES, SERVICE_IMAGE, SERVICE_REVISION
from convergence_orchestration.releases.checklist.jobs import load_test_release, sign_release_item
from convergence_orchestration.releases.jobs import deploy_service, release_jobs
from convergence_orchestration.releases.model import EventKind, ReleaseId
from convergence_orchestration.releases.resources import Releases, release_resources
from convergence_orchestration.settings import Environment, Settings
from convergence_orchestration_tests.releases.cloud import RunCloud, Works
from convergence_orchestration_tests.tenancy.dagster_runs import undescribed


class Runs:
    """Runs the jobs of releases in this process against one service."""

    def __init__(self, works: Works, settings: Settings, instance: dg.DagsterInstance) -> None:
        connections = settings_resources(settings)
        connection = connections["bigquery"]
        assert isinstance(connection, BigQueryConnection)
        made = release_resources(settings)
        releases = made["releases"]
        assert isinstance(releases, Releases)
        specification = works.site.specification.model_dump_json()  # which YAML is too
        named = Releases(
            own=releases.own, variables=releases.variables, specifications={"development": specification}
        )
        trails = RunTrails(connection, settings.environment)
        self.resources = {**connections, **audit_resources(trails), **made, "releases": named}
        self.instance = instance
        self.works = works

    def run(self, job: dg.JobDefinition, op: str, **config: object) -> dg.ExecuteInProcessResult:
        return job.execute_in_process(
            run_config={"ops": {op: {"config": config}}},
            resources=self.resources,
            instance=self.instance,
            raise_on_error=False,
            tags={"convergence/actor": "ana"},
        )

    def deploy(self, release: str, **config: object) -> dg.ExecuteInProcessResult:
        asked = {"release": release, "source": self.works.cloud.source, **config}
        return self.run(deploy_service, "check_release", **asked)

    def kinds(self, release: str) -> list[EventKind]:
        events = self.works.site.events.of_release("development", self.works.service, ReleaseId(release))
        return [event.kind for event in events]


@pytest.fixture
def runs(run_cloud: RunCloud, works: Works, project: Settings) -> Iterator[Runs]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Runs(works, run_cloud.settings(project), instance)


def materialized(result: dg.ExecuteInProcessResult) -> dict[str, Mapping[str, object]]:
    found: dict[str, Mapping[str, object]] = {}
    for event in result.get_asset_materialization_events():
        one = event.step_materialization_data.materialization
        assert one.partition == "development/v1"
        found[one.asset_key.to_user_string()] = {name: value.value for name, value in one.metadata.items()}
    return found


def failure(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    (event,) = [each for each in result.all_events if each.is_step_failure]
    declared = event.step_failure_data.user_failure_data
    assert declared is not None
    return declared.description or ""


def test_a_release_is_deployed_by_its_job_and_launched_again_does_nothing(runs: Runs) -> None:
    result = runs.deploy("v1", description="The first.")
    again = runs.deploy("v1")

    found = materialized(result)
    assert result.success, failure(result)
    assert again.success
    assert set(found) == {SERVICE_IMAGE, SERVICE_REVISION}
    assert str(found[SERVICE_REVISION]["address"]).startswith(
        f"https://blue---{runs.works.service}.localhost"
    )
    assert found[SERVICE_REVISION]["stable_revision"] == "none: a first deployment"
    assert runs.instance.get_dynamic_partitions(RELEASES) == ["development/v1"]
    assert set(materialized(again)) == {SERVICE_IMAGE}
    (handed_over,) = [
        event
        for event in runs.works.site.events.of_service("development", runs.works.service)
        if event.kind is EventKind.HANDED_OVER
    ]
    assert (handed_over.actor, handed_over.run_id) == ("ana", result.run_id)

    slow = runs.run(load_test_release, "send_load", release="v1", rate=20, seconds=0.2, path="/nothing-slow")
    assert slow.success or "ms, above" in failure(slow)
    checked = runs.works.site.events.of_release("development", runs.works.service, ReleaseId("v1"))[-1]
    assert (checked.kind, checked.evidence["requests"]) == (EventKind.CHECKED, 4)


def test_a_job_that_cannot_deploy_says_what_to_do_and_writes_it_down(runs: Runs) -> None:
    broken = runs.deploy("v1", source="file:///nowhere")
    wrong = runs.deploy("v 2")

    assert failure(broken).startswith("Mend the sources and release again")
    assert runs.kinds("v1") == [EventKind.STARTED, EventKind.FAILED]
    assert failure(wrong).startswith("Name a release by")


def test_a_signature_is_recorded_by_its_job(runs: Runs) -> None:
    signed = runs.run(
        sign_release_item, "sign_item", release="v1", item="on_call", name="Ana", note="Until Friday."
    )
    wrong = runs.run(sign_release_item, "sign_item", release="v1", item="luck", name="Ana")

    assert signed.success
    assert failure(wrong).startswith("Name an item of the check-list")
    (event,) = runs.works.site.events.of_release("development", runs.works.service, ReleaseId("v1"))
    assert (event.actor, event.reason) == ("Ana", "Until Friday.")


def test_every_field_of_every_config_is_described() -> None:
    for job in release_jobs():
        assert job.description
        assert [field for node in job.all_node_defs for field in undescribed(node)] == []


def test_an_environment_has_its_own_settings_and_specification(project: Settings) -> None:
    releases = release_resources(
        project.model_copy(update={"service_account": "me@x.iam.gserviceaccount.com"})
    )["releases"]
    assert releases.environment("") is Environment.DEVELOPMENT
    staging = releases.settings(releases.environment("staging"))
    assert staging.service_account_email.startswith("convergence-api-staging@")
    assert staging.gcp_project_id == project.gcp_project_id
    assert releases.specification(Environment.STAGING).service == "convergence-api-staging"
    with pytest.raises(PermanentError, match="Name an environment") as caught:
        releases.environment("moon")
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


def test_the_last_backup_is_that_of_the_warehouse(project: Settings, bigquery: BigQuery) -> None:
    resource = release_resources(project)["last_backup"]
    last_backup = resource.resource_fn(dg.build_init_resource_context())
    assert last_backup(bigquery, datetime.now(UTC)) is None
