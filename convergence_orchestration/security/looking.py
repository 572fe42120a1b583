"""Who has which role now.

What belongs here: reading policies, each once. What cannot be read is said to be unknown, never to be empty.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

from convergence_orchestration.environment.cloud import Cloud
from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client, projects_client, run_clients
from convergence_orchestration.gcp.policies import Binding, Policies
from convergence_orchestration.gcp.translate import Service
from convergence_orchestration.releases.specification import specification_of
from convergence_orchestration.security.model import Grant, Looked, Place
from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.model import CENTRAL_DATASET


def looked_at(cloud: Cloud) -> Iterator[Looked]:
    """Each resource that the baseline speaks about; never an error of a service."""
    settings, declared = cloud.settings, cloud.declared
    metadata = cloud.secret_versions
    secret = metadata.name(declared.secret_id)
    yield _seen(
        Place.KEY, declared.crypto_key_name, lambda: cloud.kms.policies.bindings(declared.crypto_key_name)
    )
    yield _seen(Place.SECRET, secret, lambda: metadata.policies.bindings(secret))
    with ExitStack() as closing:
        projects = projects_client(settings)
        closing.callback(projects.transport.close)
        services, revisions = run_clients(settings)
        closing.callback(revisions.transport.close)
        closing.callback(services.transport.close)
        warehouse = bigquery_client(settings)
        closing.callback(warehouse.close)
        project, service = f"projects/{settings.gcp_project_id}", _service_name(settings)
        of_projects = Policies(projects, Service("Resource Manager", str(projects.transport.host), project))
        of_services = Policies(services, Service("Cloud Run", str(services.transport.host), project))
        yield _seen(Place.PROJECT, project, lambda: of_projects.bindings(project))
        yield _seen(Place.SERVICE, service, lambda: of_services.bindings(service))
        yield _dataset(BigQuery(warehouse), settings)


def _seen(place: Place, resource: str, read: Callable[[], list[Binding]]) -> Looked:
    try:
        bindings = read()
    except ConvergenceError as error:
        return Looked(place, resource, None, error.message)
    grants = (
        Grant(place, binding.role, member, binding.condition)
        for binding in bindings
        for member in binding.members
    )
    return Looked(place, resource, frozenset(grants))


def _dataset(bigquery: BigQuery, settings: Settings) -> Looked:
    resource = f"projects/{settings.gcp_project_id}/datasets/{CENTRAL_DATASET}"
    try:
        dataset = bigquery.get_dataset(CENTRAL_DATASET)
    except ConvergenceError as error:
        return Looked(Place.DATASET, resource, None, error.message)
    if dataset is None:
        return Looked(Place.DATASET, resource, None, "It is not there: bootstrap first.")
    grants = (
        Grant(Place.DATASET, str(entry.role), f"{entry.entity_type}:{entry.entity_id}")
        for entry in dataset.access_entries
        if entry.role  # an authorised view has none
    )
    return Looked(Place.DATASET, resource, frozenset(grants))


def _service_name(settings: Settings) -> str:
    service = specification_of(settings.environment).service
    return f"projects/{settings.gcp_project_id}/locations/{settings.run_region}/services/{service}"
