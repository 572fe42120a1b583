"""The review against the real emulators, and its signature."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from google.iam.v1.policy_pb2 import AuditConfig, AuditLogConfig, Policy

from convergence_orchestration.environment.cloud import opened
from convergence_orchestration.environment.preparing import prepare
from convergence_orchestration.environment.resources import environment_resources
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import kms_client, projects_client
from convergence_orchestration.security.assets import AS_DECLARED, DIGEST, iam_review
from convergence_orchestration.security.baseline import baseline_of
from convergence_orchestration.security.jobs import SIGNED, sign_iam_review
from convergence_orchestration.security.model import Review, Verdict
from convergence_orchestration.security.reviewing import review
from convergence_orchestration.settings import Environment, Settings
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.security.recording import Recording

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def prepared(project: Settings, bigquery: BigQuery, local_gcp: Emulator) -> Settings:
    """A prepared, bootstrapped environment; shared, so a test that changes a policy sets it back."""
    del bigquery
    settings = project.model_copy(update={"run_emulator_host": local_gcp.grpc_address})
    with opened(settings) as cloud:
        list(prepare(cloud, datetime.now(UTC)))
    return settings


def reviewed(settings: Settings, now: datetime | None = None) -> Review:
    with opened(settings) as cloud:
        return review(cloud, baseline_of(settings.environment), now or datetime.now(UTC))


def found(result: Review, verdict: Verdict) -> list[tuple[str, str]]:
    return [
        (line.subject.rpartition("/")[2], line.member) for line in result.lines if line.verdict is verdict
    ]


def test_a_prepared_environment_is_as_declared_but_for_the_service_that_is_not_deployed(
    prepared: Settings,
) -> None:
    result = reviewed(prepared)

    assert found(result, Verdict.UNEXPECTED) == []
    assert found(result, Verdict.MISSING) == []
    assert [line.subject.rpartition("/")[2] for line in result.lines if line.verdict is Verdict.UNKNOWN] == [
        "convergence-api-dev"
    ]
    assert "administrators' key of administrator" in {line.subject for line in result.lines}


def test_somebody_who_was_given_a_role_by_hand_is_unexpected(prepared: Settings) -> None:
    client, key = kms_client(prepared), prepared.crypto_key_name
    before = client.get_iam_policy(request={"resource": key})
    changed = Policy()
    changed.CopyFrom(before)
    changed.bindings.add(role="roles/cloudkms.admin", members=["user:eve@example.com"])
    client.set_iam_policy(request={"resource": key, "policy": changed})
    try:
        result = reviewed(prepared)
    finally:
        before.ClearField("etag")
        client.set_iam_policy(request={"resource": key, "policy": before})

    assert found(result, Verdict.UNEXPECTED) == [("api-key-encryption", "user:eve@example.com")]


def test_production_asks_for_more_and_what_no_api_tells_is_unknown(prepared: Settings) -> None:
    production = prepared.of(Environment.PRODUCTION)
    unknown = {"VPC Service Controls", "Cloud Armor"}
    with opened(production) as cloud:
        list(prepare(cloud, datetime.now(UTC)))

    result = reviewed(production)

    assert "audit logging" in {line.subject for line in result.lines if line.verdict is Verdict.MISSING}
    assert unknown <= {line.subject for line in result.lines if line.verdict is Verdict.UNKNOWN}

    client, name = projects_client(prepared), f"projects/{prepared.gcp_project_id}"
    policy = client.get_iam_policy(request={"resource": name})
    kinds = (AuditLogConfig.LogType.DATA_READ, AuditLogConfig.LogType.DATA_WRITE)
    logs = [AuditLogConfig(log_type=kind) for kind in kinds]
    policy.audit_configs.append(AuditConfig(service="allServices", audit_log_configs=logs))
    client.set_iam_policy(request={"resource": name, "policy": policy})
    declared = {line.subject for line in reviewed(production).lines if line.verdict is Verdict.DECLARED}
    assert "audit logging" in declared


def test_a_key_that_is_due_is_a_difference(prepared: Settings) -> None:
    result = reviewed(prepared, datetime.now(UTC) + timedelta(days=200))

    (line,) = [line for line in result.lines if line.verdict is Verdict.MISSING]
    assert line.cure == "convergence admin-key rotate administrator"


def test_the_asset_shows_the_review_and_its_signature_is_an_audit_row(prepared: Settings) -> None:
    trail = Recording()
    resources = {**environment_resources(prepared), "audit": trail.resource()}
    with dg.DagsterInstance.ephemeral() as instance:
        early = sign_iam_review.execute_in_process(
            {"ops": {"sign_review": {"config": {"name": "Ana"}}}},
            instance,
            resources=resources,
            raise_on_error=False,
        )
        assert not early.success
        assert trail.entries == []

        made = dg.materialize(
            [iam_review], partition_key="development", instance=instance, resources=resources
        )
        signed = sign_iam_review.execute_in_process(
            {"ops": {"sign_review": {"config": {"name": "Ana", "note": "Seen."}}}},
            instance,
            resources=resources,
        )

    (event,) = made.get_asset_materialization_events()
    metadata = event.materialization.metadata
    (check,) = made.get_asset_check_evaluations()
    assert check.check_name == AS_DECLARED
    assert not check.passed, "the service is not deployed, which nobody can review"
    assert metadata["differences"].value == 0
    (entry,) = trail.entries
    assert entry.action == SIGNED
    assert entry.target is not None
    assert entry.target.id == metadata[DIGEST].value
    assert entry.details["name"] == "Ana"
    assert entry.details["review_run_id"] == made.run_id
    assert signed.success


def test_a_signature_names_an_environment_and_somebody(prepared: Settings) -> None:
    trail = Recording()
    resources = {**environment_resources(prepared), "audit": trail.resource()}
    for config in ({"name": " "}, {"name": "Ana", "environment": "moon"}):
        ended = sign_iam_review.execute_in_process(
            {"ops": {"sign_review": {"config": config}}}, resources=resources, raise_on_error=False
        )
        assert not ended.success
    assert trail.entries == []


def test_what_a_service_refuses_to_show_is_unknown_and_the_rest_is_reviewed(
    prepared: Settings, local_gcp: Emulator
) -> None:
    local_gcp.faults_file.write_text(
        "- method: google.cloud.resourcemanager.v3.Projects/GetIamPolicy\n  code: PERMISSION_DENIED\n"
    )
    try:
        result = reviewed(prepared)
    finally:
        local_gcp.faults_file.unlink()

    unknown = {line.subject: line.note for line in result.lines if line.verdict is Verdict.UNKNOWN}
    assert "Permission denied" in unknown[f"projects/{prepared.gcp_project_id}"]
    assert result.count(Verdict.MISSING) == 0
