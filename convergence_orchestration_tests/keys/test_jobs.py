from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.delivery import Delivery, deliver
from convergence_orchestration.keys.jobs import (
    issue_tenant_key,
    key_jobs,
    revoke_tenant_key,
    revoke_tenant_keys,
    rotate_tenant_key,
)
from convergence_orchestration.keys.launches import (
    ISSUE_JOB,
    ISSUE_OP,
    REVOKE_ALL_JOB,
    REVOKE_JOB,
    ROTATE_JOB,
    ROTATE_OP,
    issue_config,
    rotate_config,
)
from convergence_orchestration.keys.ledger import KeyEvents
from convergence_orchestration.keys.model import ALL_SCOPES, KeyId, KeyRecord, Scope, new_key_id
from convergence_orchestration.keys.rotating import Rotation
from convergence_orchestration.keys.sealed_store import SealedKeys
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.keys.upkeep.jobs import upkeep_jobs
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.keys.builders import new_key
from convergence_orchestration_tests.keys.job_resources import job_resources
from convergence_orchestration_tests.tenancy.dagster_runs import (
    executed_again,
    issue_tenant_key_as_deployed,
    undescribed,
)


class Platform:
    """Runs the jobs of this domain in this process against the emulators."""

    def __init__(self, project: Settings, instance: dg.DagsterInstance) -> None:
        self.resources = job_resources(project)
        self.instance = instance

    def issue(
        self, config: Mapping[str, object], tags: dict[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        return self._run(issue_tenant_key, "issue_key", config, tags)

    def revoke(
        self, config: Mapping[str, object], tags: dict[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        return self._run(revoke_tenant_key, "revoke_key", config, tags)

    def rotate(self, config: Mapping[str, object]) -> dg.ExecuteInProcessResult:
        return self._run(rotate_tenant_key, "rotate_key", config, None)

    def revoke_all(self, config: Mapping[str, object]) -> dg.ExecuteInProcessResult:
        return self._run(revoke_tenant_keys, "revoke_keys_of_tenant", config, None)

    def _run(
        self, job: dg.JobDefinition, op: str, config: Mapping[str, object], tags: dict[str, str] | None
    ) -> dg.ExecuteInProcessResult:
        return job.execute_in_process(
            run_config={"ops": {op: {"config": config}}},
            resources=self.resources,
            instance=self.instance,
            tags=tags,
            raise_on_error=False,
        )


@pytest.fixture
def platform(project: Settings, bigquery: BigQuery, kms: Kms) -> Iterator[Platform]:
    assert (bigquery.project, kms.crypto_key_name) == (project.gcp_project_id, project.crypto_key_name)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Platform(project, instance)


def shown(result: dg.ExecuteInProcessResult, op: str) -> dict[str, object]:
    """What the op's output says about itself."""
    (event,) = [each for each in result.events_for_node(op) if each.is_successful_output]
    return {name: value.value for name, value in event.step_output_data.metadata.items()}


def failure(result: dg.ExecuteInProcessResult, op: str) -> tuple[object, str]:
    assert not result.success
    (event,) = [each for each in result.events_for_node(op) if each.is_step_failure]
    declared = event.step_failure_data.user_failure_data
    assert declared is not None
    return declared.metadata["code"].value, declared.description or ""


def record_of(bigquery: BigQuery, result: dg.ExecuteInProcessResult) -> KeyRecord:
    record = KeyEvents(bigquery).get(KeyId(str(shown(result, "issue_key")["key_id"])))
    assert record is not None
    return record


def test_a_tenant_id_alone_issues_a_key_with_all_scopes_for_ever(
    platform: Platform, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    result = platform.issue({"tenant_id": tenant_id})
    record = record_of(bigquery, result)
    assert (record.tenant_id, record.scopes, record.expires_at) == (tenant_id, ALL_SCOPES, None)
    assert shown(result, "issue_key")["how_to_fetch"] == f"`convergence key reveal {record.key_id}`, once"


def test_what_the_config_asks_for_is_in_the_ledger(
    platform: Platform, bigquery: BigQuery, tenant_id: TenantId, key_id: KeyId
) -> None:
    result = platform.issue(
        {
            "tenant_id": tenant_id,
            "description": "nightly import",
            "scopes": ["usage:read"],
            "expires_at": "2099-01-31T01:00:00+01:00",
            "key_id": key_id,
        },
        {"convergence/actor": "alice", "convergence/request_id": "request-7"},
    )
    record = record_of(bigquery, result)
    assert record.key_id == key_id
    assert (record.description, record.scopes) == ("nightly import", (Scope.USAGE_READ,))
    assert record.expires_at == datetime(2099, 1, 31, tzinfo=UTC)
    (event,) = [event for event in KeyEvents(bigquery).all() if event.key_id == key_id]
    assert (event.actor, event.request_id, event.run_id) == ("alice", "request-7", result.run_id)


def test_nothing_that_dagster_keeps_of_the_run_holds_the_key_or_its_hash(
    platform: Platform, bigquery: BigQuery, stores: KeyStores, kms: Kms, tenant_id: TenantId
) -> None:
    result = platform.issue({"tenant_id": tenant_id})
    record = record_of(bigquery, result)
    handed = deliver(stores, kms, Delivery(record.key_id, "somebody"), datetime.now(UTC))
    kept = str(platform.instance.all_logs(result.run_id)) + str(
        platform.instance.get_run_by_id(result.run_id)
    )
    assert record.key_id in kept
    assert handed.api_key.get_secret_value() not in kept
    assert record.key_hash not in kept


def test_re_executing_a_run_issues_no_second_key(
    project: Settings, platform: Platform, bigquery: BigQuery, tenant_id: TenantId
) -> None:
    first = platform.issue({"tenant_id": tenant_id})
    again = executed_again(issue_tenant_key_as_deployed, project, platform.instance, first.run_id)
    assert again.success
    assert again.run_id != first.run_id
    keys = KeyEvents(bigquery).active_for(tenant_id, datetime.now(UTC))
    assert [record.key_id for record in keys] == [record_of(bigquery, first).key_id]


@pytest.mark.parametrize(
    ("config", "code", "says"),
    [
        ({"tenant_id": "Acme"}, ErrorCode.INVALID_TENANT_ID, "Choose a tenant id"),
        ({"tenant_id": "nobody"}, ErrorCode.TENANT_NOT_FOUND, "Onboard nobody first"),
        ({"tenant_id": "acme", "scopes": ["all"]}, ErrorCode.INVALID_ARGUMENT, "Choose scopes from"),
        ({"tenant_id": "acme", "expires_at": "soon"}, ErrorCode.INVALID_ARGUMENT, "Give expires_at"),
        ({"tenant_id": "acme", "description": "x" * 501}, ErrorCode.INVALID_ARGUMENT, "Shorten description"),
        ({"tenant_id": "acme", "key_id": "key_1"}, ErrorCode.INVALID_ARGUMENT, "Give a key id"),
    ],
)
def test_a_wrong_config_fails_once_with_what_to_do(
    platform: Platform, config: dict[str, str | list[str]], code: ErrorCode, says: str
) -> None:
    result = platform.issue(config)
    found, message = failure(result, "issue_key")
    assert found == code
    assert message.startswith(says)
    assert not [event for event in result.all_events if event.is_step_up_for_retry]


def test_a_key_is_revoked_by_its_job(
    platform: Platform, bigquery: BigQuery, tenant_id: TenantId, key_id: KeyId
) -> None:
    platform.issue({"tenant_id": tenant_id, "key_id": key_id})
    result = platform.revoke({"key": key_id, "reason": "laptop lost"}, {"convergence/actor": "alice"})
    assert result.success
    record = KeyEvents(bigquery).get(key_id)
    assert record is not None
    assert record.revoked_at is not None
    assert shown(result, "revoke_key") == {
        "key_id": key_id,
        "tenant_id": tenant_id,
        "revoked_at": record.revoked_at.isoformat(),
    }
    assert SealedKeys(bigquery).get(key_id) is None


def test_revoking_what_was_never_issued_fails_once(platform: Platform) -> None:
    found, message = failure(platform.revoke({"key": new_key_id()}), "revoke_key")
    assert found == ErrorCode.KEY_NOT_FOUND
    assert message.startswith("Check the key id")


def test_a_key_is_rotated_and_all_keys_are_revoked_by_their_jobs(
    platform: Platform, stores: KeyStores, tenant_id: TenantId, key_id: KeyId
) -> None:
    platform.issue({"tenant_id": tenant_id, "key_id": key_id})
    told = shown(platform.rotate({"key_id": key_id, "grace_seconds": 60}), "rotate_key")
    old, new = stores.ledger.get(key_id), stores.ledger.get(KeyId(str(told["key_id"])))
    assert old is not None
    assert old.ends_at is not None
    assert new is not None
    assert (told["old_key_id"], told["old_key_ends_at"]) == (key_id, old.ends_at.isoformat())
    assert old.successor_key_id == new.key_id

    told = shown(platform.revoke_all({"tenant_id": tenant_id}), "revoke_keys_of_tenant")
    assert told == {"tenant_id": tenant_id, "revoked": [key_id, new.key_id]}
    assert stores.ledger.active_for(tenant_id, datetime.now(UTC)) == []


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"key_id": "cvg_dev_x", "grace_seconds": 0}, "Give a key id"),
        ({"key_id": "key_" + "0" * 20, "grace_seconds": -1}, "Give grace_seconds from 0 to 604800"),
        ({"key_id": "key_" + "0" * 20, "grace_seconds": 604_801}, "Give grace_seconds from 0 to 604800"),
    ],
)
def test_a_wrong_rotation_fails_once_with_what_to_do(
    platform: Platform, config: dict[str, object], says: str
) -> None:
    found, message = failure(platform.rotate(config), "rotate_key")
    assert found == ErrorCode.INVALID_ARGUMENT
    assert message.startswith(says)


def test_the_api_launches_these_jobs_with_configs_that_they_take() -> None:
    asked = new_key(new_key_id(), TenantId("acme"), expires=1)
    rotation = Rotation(asked.key_id, new_key_id(), timedelta(hours=1), "somebody", "new", ALL_SCOPES)
    configs = {ISSUE_JOB: {ISSUE_OP: issue_config(asked)}, ROTATE_JOB: {ROTATE_OP: rotate_config(rotation)}}
    jobs = {job.name: job for job in key_jobs()}
    assert {REVOKE_JOB, REVOKE_ALL_JOB, *configs} == jobs.keys()
    for name, ops in configs.items():
        wanted = {op: {"config": config} for op, config in ops.items()}
        assert dg.validate_run_config(jobs[name], {"ops": wanted})["ops"].keys() == ops.keys()


def test_every_field_of_every_config_is_described() -> None:
    for job in [*key_jobs(), *upkeep_jobs()]:
        assert job.description
        assert [field for node in job.all_node_defs for field in undescribed(node)] == []
