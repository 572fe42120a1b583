"""The examination against the real emulators, with the real faults that it is for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.iam.v1.policy_pb2 import Policy

from convergence_orchestration.doctor.calls import Made, judged
from convergence_orchestration.doctor.examining import before_the_first_start, examine, without_settings
from convergence_orchestration.doctor.jobs import doctor
from convergence_orchestration.doctor.model import Area, Finding, Patient, State, has_problem
from convergence_orchestration.doctor.permissions import needed_by, refused
from convergence_orchestration.doctor.quotas import headroom, quotas
from convergence_orchestration.environment.cloud import opened
from convergence_orchestration.environment.preparing import prepare
from convergence_orchestration.environment.resources import environment_resources
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.clients import kms_client, projects_client
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.emulators import EmulatedSettings, Emulator, fresh_project_id
from convergence_orchestration_tests.environment.test_preparing import NOW

KMS = "google.cloud.kms.v1.KeyManagementService"


@pytest.fixture
def prepared(emulated_settings: EmulatedSettings, local_gcp: Emulator) -> Settings:
    """A prepared environment in a project of its own; every service is an emulator."""
    here = dict.fromkeys(
        ("run_emulator_host", "build_emulator_host", "monitoring_emulator_host", "logging_emulator_host"),
        local_gcp.grpc_address,
    )
    settings = emulated_settings(fresh_project_id(), **here)
    with opened(settings) as cloud:
        list(prepare(cloud, NOW))
    return settings


@pytest.fixture
def faults(local_gcp: Emulator) -> Iterator[Path]:
    yield local_gcp.faults_file
    local_gcp.faults_file.unlink(missing_ok=True)


def problems(settings: Settings, directory: Path) -> list[Finding]:
    findings = examine(Patient(settings), directory)
    return [finding for finding in findings if finding.state is State.PROBLEM]


def test_a_healthy_platform_has_no_problem(prepared: Settings, tmp_path: Path) -> None:
    findings = examine(Patient(prepared), tmp_path)

    assert not has_problem(findings), findings
    assert {finding.area for finding in findings} == set(Area)
    assert {finding.state for finding in findings} == {State.OK}


def test_a_binding_that_was_removed_is_named_with_the_line_that_grants_it(
    prepared: Settings, tmp_path: Path
) -> None:
    client = kms_client(prepared)
    client.set_iam_policy(request={"resource": prepared.crypto_key_name, "policy": Policy(version=1)})

    (finding,) = problems(prepared, tmp_path)

    assert finding.area is Area.PERMISSIONS
    assert "useToEncrypt" in finding.cause
    assert finding.cure.startswith("gcloud kms keys add-iam-policy-binding api-key-encryption")
    assert f"serviceAccount:{prepared.service_account_email}" in finding.cure


def test_bigquery_permission_denied_is_cured_as_in_the_guide(prepared: Settings, tmp_path: Path) -> None:
    project = f"projects/{prepared.gcp_project_id}"
    policy = Policy(version=1)
    policy.bindings.add(
        role="roles/bigquery.jobUser", members=[f"serviceAccount:{prepared.service_account_email}"]
    )
    projects_client(prepared).set_iam_policy(request={"resource": project, "policy": policy})

    (finding,) = problems(prepared, tmp_path)

    assert finding.cause == "permission denied: it lacks bigquery.datasets.create, bigquery.tables.create"
    assert finding.cure == (
        f"gcloud projects add-iam-policy-binding {prepared.gcp_project_id} "
        f'--member="serviceAccount:{prepared.service_account_email}" --role="roles/bigquery.admin"'
    )


def test_a_slow_kms_is_the_guides_first_problem(prepared: Settings, tmp_path: Path, faults: Path) -> None:
    faults.write_text(f"- method: {KMS}/Encrypt\n  delay_seconds: 3.2\n  times: 1\n")

    (finding,) = problems(prepared, tmp_path)

    assert finding.subject == "Cloud KMS: encrypt and decrypt"
    assert "callers time out" in finding.cause
    assert finding.cure.startswith("gcloud kms keys get-iam-policy api-key-encryption")


def test_what_was_never_prepared_is_to_be_prepared(
    emulated_settings: EmulatedSettings, tmp_path: Path
) -> None:
    settings = emulated_settings(fresh_project_id())

    cures = {
        finding.cure for finding in problems(settings, tmp_path) if finding.area is not Area.CONFIGURATION
    }

    assert "convergence environment prepare --environment development" in cures


def test_with_everything_stopped_it_says_what_to_start_and_claims_nothing_else(
    prepared: Settings, tmp_path: Path
) -> None:
    nobody = {name: "127.0.0.1:9" for name in Settings.model_fields if name.endswith("_emulator_host")}
    stopped = prepared.model_copy(update={**nobody, "bigquery_emulator_host": "http://127.0.0.1:9"})

    findings = examine(Patient(stopped), tmp_path)

    problems = [finding for finding in findings if finding.state is State.PROBLEM]
    assert {finding.area for finding in problems} == {Area.REACHABILITY}
    assert {finding.cure for finding in problems} == {"convergence up"}
    unknown = {finding.area for finding in findings if finding.state is State.UNKNOWN}
    assert unknown == {Area.CLOCKS, Area.PERMISSIONS, Area.CALLS}


def test_before_the_first_start_and_without_settings_there_is_still_an_answer(
    prepared: Settings, tmp_path: Path
) -> None:
    before = before_the_first_start(Patient(prepared), tmp_path)
    without = without_settings("API_PORT is wrong: it is no number.", tmp_path)

    assert not has_problem(before)
    assert before[-1].state is State.UNKNOWN
    assert [finding.area for finding in without if finding.state is State.PROBLEM] == [Area.CONFIGURATION]


@pytest.mark.parametrize(
    ("code", "service", "cure"),
    [
        (
            ErrorCode.QUOTA_EXHAUSTED,
            "BigQuery",
            "gcloud alpha services quota list --service=bigquery.googleapis.com",
        ),
        (ErrorCode.PERMISSION_DENIED, "BigQuery", '--role="roles/bigquery.admin"'),
        (ErrorCode.FAILED_PRECONDITION, "Cloud KMS", "gcloud services enable"),
        (ErrorCode.NOT_FOUND, "Secret Manager", "convergence environment prepare"),
        (ErrorCode.UNAVAILABLE, "BigQuery", "convergence logs local_gcp"),
    ],
)
def test_each_failure_of_a_call_has_its_cure(
    prepared: Settings, code: ErrorCode, service: str, cure: str
) -> None:
    error = (
        TransientError(code, "It failed.")
        if code is ErrorCode.UNAVAILABLE
        else PermanentError(code, "It failed.")
    )
    api = {"BigQuery": "bigquery.googleapis.com"}.get(service, "x.googleapis.com")

    finding = judged(Made(service, api, "do", 0.1, error), Patient(prepared))

    assert finding.state is State.PROBLEM
    assert cure in finding.cure


@pytest.mark.parametrize(
    ("billed", "state"),
    [(0, State.OK), (90, State.OK), (91, State.PROBLEM), (None, State.UNKNOWN)],
    ids=["nothing used", "nine tenths used", "more used", "not said"],
)
def test_a_quota_that_is_nearly_used_up_is_a_problem(
    prepared: Settings, billed: int | None, state: State
) -> None:
    finding = headroom(billed, 100, Patient(prepared))

    assert finding.state is state
    assert ("gcloud alpha services quota list" in finding.cure) is (state is State.PROBLEM)


def test_a_quota_that_cannot_be_asked_is_unknown(prepared: Settings) -> None:
    """The emulator has no table of jobs."""
    billing = prepared.model_copy(update={"bigquery_bytes_per_day": 100})

    assert quotas(Patient(billing), frozenset({"BigQuery"})).state is State.UNKNOWN
    assert quotas(Patient(billing), frozenset()).state is State.UNKNOWN


def test_who_may_not_act_as_the_account_leaves_its_permissions_unknown(prepared: Settings) -> None:
    error = PermanentError(ErrorCode.PERMISSION_DENIED, "Let whoever runs this act as x.")

    finding = refused(needed_by(prepared)[0], Patient(prepared), error)

    assert finding.state is State.UNKNOWN
    assert "act as x" in finding.cause


def test_the_job_shows_all_findings_and_fails_by_the_first_problem(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in prepared.model_fields_set:
        monkeypatch.setenv(name.upper(), str(getattr(prepared, name)))
    resources = environment_resources(prepared)

    well = doctor.execute_in_process(resources=resources)
    monkeypatch.setenv("KMS_EMULATOR_HOST", "127.0.0.1:9")
    ill = doctor.execute_in_process(resources=resources, raise_on_error=False)

    assert well.success
    assert not ill.success
    failed = ill.failure_data_for_node("examine_platform")
    assert failed is not None
    assert failed.user_failure_data is not None
    assert failed.user_failure_data.description is not None
    assert failed.user_failure_data.description.startswith(
        "Mend Cloud KMS at 127.0.0.1:9: nothing listens there."
    )
    assert "findings" in failed.user_failure_data.metadata
