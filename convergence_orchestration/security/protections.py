"""What else protects an environment: audit logging, VPC Service Controls, Cloud Armor, the age of administrators' keys.

What belongs here: a line for each. VPC Service Controls belong to an organisation and Cloud Armor to a load balancer, whose
APIs this program has no rights for: what the environment asks for there is unknown until a person has typed the command.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from convergence_orchestration.environment.cloud import Cloud
from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.gcp.clients import projects_client
from convergence_orchestration.gcp.policies import LoggedService, Policies
from convergence_orchestration.gcp.translate import Service
from convergence_orchestration.keys.admins.model import ROTATED_STATES, AgeState
from convergence_orchestration.keys.admins.upkeep import administrators, stand
from convergence_orchestration.security.baseline import AsksFor
from convergence_orchestration.security.model import Line, Verdict

_LOGGED = ("cloudkms.googleapis.com", "secretmanager.googleapis.com")
"""BigQuery logs access to data anyway."""
_ALL = "allServices"
_KINDS = frozenset({"DATA_READ", "DATA_WRITE"})


def protections(cloud: Cloud, asks: AsksFor, now: datetime) -> Iterator[Line]:
    """The lines of one environment; what it does not ask for is not looked at."""
    project = cloud.settings.gcp_project_id
    if asks.audit_logging:
        yield audit_logging(_logged(cloud), project)
    if asks.vpc_service_controls:
        command = "gcloud access-context-manager perimeters list --policy=POLICY   # is this project in one?"
        yield Line("VPC Service Controls", "", "", Verdict.UNKNOWN, "an organisation's API", command)
    if asks.cloud_armor:
        command = (
            f"gcloud compute backend-services list --project={project} --format='table(name,securityPolicy)'"
        )
        yield Line("Cloud Armor", "", "", Verdict.UNKNOWN, "a load balancer's API", command)
    yield from _ages(cloud, now)


def audit_logging(logged: Sequence[LoggedService] | str, project: str) -> Line:
    """Whether access to keys and secrets is logged; `logged` is why that is unknown if it is a text."""
    if isinstance(logged, str):
        return Line("audit logging", "", "", Verdict.UNKNOWN, logged)
    everywhere = frozenset(kind for each in logged if each.service == _ALL for kind in each.kinds)
    missing = [
        service
        for service in _LOGGED
        if _KINDS - everywhere - {kind for each in logged if each.service == service for kind in each.kinds}
    ]
    if not missing:
        return Line("audit logging", "", "", Verdict.DECLARED, "DATA_READ and DATA_WRITE of keys and secrets")
    command = (
        f"gcloud projects get-iam-policy {project} > policy.yaml   # add auditConfigs, then set-iam-policy"
    )
    note = f"access to data is not logged of {', '.join(missing)}"
    return Line("audit logging", "", "", Verdict.MISSING, note, command)


def _logged(cloud: Cloud) -> Sequence[LoggedService] | str:
    client = projects_client(cloud.settings)
    project = f"projects/{cloud.settings.gcp_project_id}"
    try:
        return Policies(client, Service("Resource Manager", str(client.transport.host), project)).logged(
            project
        )
    except ConvergenceError as error:
        return error.message
    finally:
        client.transport.close()  # type: ignore[no-untyped-call]


def _ages(cloud: Cloud, now: datetime) -> Iterator[Line]:
    try:
        names = administrators(cloud.settings, cloud.secrets)
        kept = [stand(cloud.settings, cloud.secrets, name, now) for name in names]
    except ConvergenceError as error:
        yield Line("administrators' keys", "", "", Verdict.UNKNOWN, error.message)
        return
    for each in kept:
        is_old = each.verdict.state in ROTATED_STATES | {AgeState.MISSING}
        yield Line(
            f"administrators' key of {each.name}",
            "",
            each.name,
            Verdict.MISSING if is_old else Verdict.DECLARED,
            f"{each.verdict.state}, due {_day(each.verdict.due_at)}",
            f"convergence admin-key rotate {each.name}" if is_old else "",
        )


def _day(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d}" if at else "never"
