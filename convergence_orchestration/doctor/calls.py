"""The smallest real call of each service that the API cannot do without, and what its failure means.

What belongs here: making the calls with the rights of whoever runs this, and the pure judgement on what came of them.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from google.cloud.bigquery import QueryJobConfig

from convergence_orchestration.doctor.model import Area, Finding, Patient, State
from convergence_orchestration.errors import ConvergenceError, ErrorCode
from convergence_orchestration.gcp.clients import bigquery_client, kms_client, secret_manager_client
from convergence_orchestration.gcp.deadlines import each_attempt, repeatable
from convergence_orchestration.gcp.grants import YOU, project_grant
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.gcp.translate import Service, translated
from convergence_orchestration.settings import Settings

SLOW_SECONDS = 3.0
"""A key is sealed while its caller waits; the guide's first problem begins about here."""


@dataclass(frozen=True)
class Made:
    """One call: how long it took, and how it failed, if it did."""

    service: str
    api: str
    doing: str
    seconds: float
    error: ConvergenceError | None = None


def calls(patient: Patient, reached: frozenset[str]) -> Iterator[Finding]:
    """A finding for each call; services that did not answer, by name, are not asked."""
    for service, api, doing, act in _CALLS:
        if service in reached:
            yield judged(_made(service, api, doing, act, patient.settings), patient)
        else:
            yield Finding(Area.CALLS, f"{service}: {doing}", State.UNKNOWN, "it does not answer at all")


def judged(made: Made, patient: Patient) -> Finding:
    """What a call says about its service."""
    subject, error = f"{made.service}: {made.doing}", made.error
    if error is None and made.seconds <= SLOW_SECONDS:
        return Finding(Area.CALLS, subject, State.OK, f"done in {made.seconds * 1000:.0f} ms")
    if error is None:
        cause = f"it took {made.seconds:.1f} s, more than {SLOW_SECONDS:g} s: callers time out"
        return Finding(Area.CALLS, subject, State.PROBLEM, cause, _look_at(made, patient))
    return Finding(Area.CALLS, subject, State.PROBLEM, error.message, _cure(made, error, patient))


def _cure(made: Made, error: ConvergenceError, patient: Patient) -> str:
    project = patient.settings.gcp_project_id
    match error.code:
        case ErrorCode.QUOTA_EXHAUSTED:
            return quotas_of(made.api, project)
        case ErrorCode.PERMISSION_DENIED:
            return project_grant(project, _ROLES[made.service], YOU)
        case ErrorCode.NOT_FOUND | ErrorCode.INVALID_SETTINGS:
            return patient.command(f"environment prepare --environment {patient.settings.environment}")
        case ErrorCode.FAILED_PRECONDITION:
            return f"gcloud services enable {made.api} --project={project}"
        case _:
            return _look_at(made, patient)


def quotas_of(api: str, project: str) -> str:
    """The command that lists a service's quotas and how much of them is used."""
    return f"gcloud alpha services quota list --service={api} --consumer=projects/{project}"


def _look_at(made: Made, patient: Patient) -> str:
    """The guide's first step about a service that does not answer in time."""
    settings = patient.settings
    if made.service != "Cloud KMS":
        return (
            patient.command("logs local_gcp --severity warning")
            if _is_here(settings)
            else (f"curl -s -o /dev/null -w '%{{time_total}}\\n' https://{made.api}/")
        )
    parts = settings.crypto_key_name.split("/")
    return f"gcloud kms keys get-iam-policy {parts[7]} --project={parts[1]} --location={parts[3]} --keyring={parts[5]}"


def _is_here(settings: Settings) -> bool:
    return settings.kms_emulator_host is not None


def _made(service: str, api: str, doing: str, act: Callable[[Settings], None], settings: Settings) -> Made:
    began = time.monotonic()
    error = None
    try:
        act(settings)
    except ConvergenceError as raised:
        error = raised
    return Made(service, api, doing, time.monotonic() - began, error)


def _seal(settings: Settings) -> None:
    client = kms_client(settings)
    try:
        Kms(client, settings.crypto_key_name).works()
    finally:
        client.transport.close()  # type: ignore[no-untyped-call]


def _read_secret(settings: Settings) -> None:
    client = secret_manager_client(settings)
    try:
        Secrets(client, settings.gcp_project_id).access(settings.admin_secret_id)
    finally:
        client.transport.close()  # type: ignore[no-untyped-call]


def _query(settings: Settings) -> None:
    """A dry run: nothing is read, billed or kept."""
    client = bigquery_client(settings)
    host = settings.bigquery_emulator_host or "bigquery.googleapis.com"
    try:
        with translated("trying a query", Service("BigQuery", host, settings.gcp_project_id)):
            client.query(
                "SELECT 1",
                job_config=QueryJobConfig(dry_run=True),
                retry=repeatable(),
                timeout=each_attempt()._timeout,  # noqa: SLF001 a number is wanted here
            )
    finally:
        client.close()  # type: ignore[no-untyped-call]


_ROLES = {
    "Cloud KMS": "roles/cloudkms.cryptoKeyEncrypterDecrypter",
    "Secret Manager": "roles/secretmanager.secretAccessor",
    "BigQuery": "roles/bigquery.admin",
}
_CALLS: tuple[tuple[str, str, str, Callable[[Settings], None]], ...] = (
    ("Cloud KMS", "cloudkms.googleapis.com", "encrypt and decrypt", _seal),
    ("Secret Manager", "secretmanager.googleapis.com", "read the administrators' key", _read_secret),
    ("BigQuery", "bigquery.googleapis.com", "try a query", _query),
)
