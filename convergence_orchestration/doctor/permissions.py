"""What the API's service account may do, asked with its own rights.

What belongs here: which permissions it needs, asking for them, and the pure judgement on the answers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from convergence_orchestration.doctor.model import Area, Finding, Patient, State
from convergence_orchestration.environment.grants import grant_on_key, grant_on_project, grant_on_secret
from convergence_orchestration.environment.model import LOOKER, READER, declared_by
from convergence_orchestration.errors import ConvergenceError, ErrorCode
from convergence_orchestration.gcp.clients import kms_client, projects_client, secret_manager_client
from convergence_orchestration.gcp.policies import Policies
from convergence_orchestration.gcp.translate import Service
from convergence_orchestration.settings import Settings


@dataclass(frozen=True)
class Needed:
    """What the account needs on one resource.

    Attributes:
        service: of Google's, as `gcp/addresses.py` names it.
        grant: the command that grants it.
    """

    service: str
    resource: str
    permissions: frozenset[str]
    grant: str


def needed_by(settings: Settings) -> tuple[Needed, ...]:
    """All that the guide grants, and what it forgets: looking at the secret's versions."""
    declared, project = declared_by(settings), settings.gcp_project_id
    secret = f"projects/{project}/secrets/{declared.secret_id}"
    sealing = frozenset(
        {"cloudkms.cryptoKeyVersions.useToEncrypt", "cloudkms.cryptoKeyVersions.useToDecrypt"}
    )
    reading = frozenset({"secretmanager.versions.access"})
    looking = frozenset({"secretmanager.versions.list"})
    warehouse = frozenset({"bigquery.datasets.create", "bigquery.jobs.create", "bigquery.tables.create"})
    on_secret = partial(grant_on_secret, declared, project, declared.secret_id)
    return (
        Needed("Cloud KMS", declared.crypto_key_name, sealing, grant_on_key(declared)),
        Needed("Secret Manager", secret, reading, on_secret(READER)),
        Needed("Secret Manager", secret, looking, on_secret(LOOKER)),
        Needed("BigQuery", f"projects/{project}", warehouse, grant_on_project(declared, project)),
    )


def permissions(patient: Patient, reached: frozenset[str]) -> Iterator[Finding]:
    """A finding for each; services that did not answer, by name, are not asked."""
    for needed in needed_by(patient.settings):
        if needed.service not in reached:
            yield judged(needed, patient, None, "its service does not answer")
            continue
        try:
            held = _held(patient.settings, needed)
        except ConvergenceError as error:
            yield refused(needed, patient, error)
        else:
            yield judged(needed, patient, held)


def judged(needed: Needed, patient: Patient, held: frozenset[str] | None, why_unknown: str = "") -> Finding:
    """Whether the account holds what it needs; None: it is not known what it holds."""
    account = patient.settings.service_account_email
    subject = f"{account} on {needed.resource}"
    if held is None:
        return Finding(Area.PERMISSIONS, subject, State.UNKNOWN, why_unknown)
    missing = sorted(needed.permissions - held)
    if missing:
        cause = f"permission denied: it lacks {', '.join(missing)}"
        return Finding(Area.PERMISSIONS, subject, State.PROBLEM, cause, needed.grant)
    return Finding(Area.PERMISSIONS, subject, State.OK, f"holds {', '.join(sorted(needed.permissions))}")


def refused(needed: Needed, patient: Patient, error: ConvergenceError) -> Finding:
    """What it means that nobody could be asked: the resource is missing, or this account may not ask."""
    if error.code is ErrorCode.NOT_FOUND:
        cause = f"{needed.resource} does not exist"
        cure = patient.command(f"environment prepare --environment {patient.settings.environment}")
        return Finding(Area.PERMISSIONS, needed.resource, State.PROBLEM, cause, cure)
    return judged(needed, patient, None, f"it could not be asked: {error.message}")


def _held(settings: Settings, needed: Needed) -> frozenset[str]:
    """What the account holds of what it needs.

    Raises:
        ConvergenceError: it cannot be asked.
    """
    open_client: Callable[..., object] = _CLIENTS[needed.service]
    client = open_client(settings, acting_as=settings.service_account_email)
    try:
        policies = Policies(client, Service(needed.service, "googleapis.com", settings.gcp_project_id))  # type: ignore[arg-type]
        return policies.held(needed.resource, sorted(needed.permissions))
    finally:
        client.transport.close()  # type: ignore[attr-defined]


_CLIENTS: dict[str, Callable[..., object]] = {
    "Cloud KMS": kms_client,
    "Secret Manager": secret_manager_client,
    "BigQuery": projects_client,
}
