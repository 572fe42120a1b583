"""From shares and instances to the routes that the front door shall serve.

What belongs here: pure functions. A new revision joins the routes when an instance of it is ready; until then requests go
where they went.
"""

from collections.abc import Iterable, Mapping, Sequence

from google.cloud.run_v2 import Revision

from convergence_orchestration.local_gcp.cloud_run import names
from convergence_orchestration.local_gcp.cloud_run.routing import Share, Shares
from convergence_orchestration.local_gcp.front_door_contract import (
    RoutedInstance,
    RoutedRevision,
    RoutedService,
    Routes,
)
from convergence_orchestration.local_gcp.node.desired import Desired, WantedService
from convergence_orchestration.local_gcp.node.records import Instance

_HOST = "127.0.0.1"


def next_routes(desired: Desired, instances: Iterable[Instance], before: Routes) -> Routes:
    """The routes for now, with the next version if they differ from those before."""
    serving: dict[str, list[Instance]] = {}
    for instance in instances:
        if instance.is_serving:
            serving.setdefault(instance.revision, []).append(instance)
    services = tuple(
        _service(service.name, shares, desired, serving)
        for service in desired.services
        if (shares := _shares(service, serving))
    )
    return before if services == before.services else Routes(before.version + 1, services)


def shares_in(service: RoutedService) -> dict[str, Share]:
    """What the revisions of a service get, as its routes say."""
    return {revision.name: Share(revision.percent, revision.tags) for revision in service.revisions}


def full_name(service: RoutedService) -> str:
    """The service's name in the control plane."""
    return f"projects/{service.project}/locations/{service.location}/services/{service.name}"


def ports_in(routes: Routes) -> set[int]:
    """The ports of all instances that requests may go to."""
    return {
        instance.port
        for service in routes.services
        for revision in service.revisions
        for instance in revision.instances
    }


def _shares(service: WantedService, serving: Mapping[str, Sequence[Instance]]) -> Shares:
    if service.is_deleting:
        return {}
    if service.target is None:
        return service.served
    joining = (
        names.revision_name(service.name, name) for name in service.target.keys() - service.served.keys()
    )
    return service.target if all(name in serving for name in joining) else service.served


def _service(
    name: str, shares: Shares, desired: Desired, serving: Mapping[str, Sequence[Instance]]
) -> RoutedService:
    _, project, _, location, _, short = name.split("/")
    revisions = []
    for revision, share in sorted(shares.items()):
        full = names.revision_name(name, revision)
        wanted = desired.revisions.get(full)
        if wanted is not None:
            revisions.append(_revision(wanted.revision, share, serving.get(full, ())))
    return RoutedService(project, location, short, tuple(revisions))


def _revision(revision: Revision, share: Share, instances: Sequence[Instance]) -> RoutedRevision:
    return RoutedRevision(
        name=names.short(revision.name),
        tags=share.tags,
        percent=share.percent,
        timeout_seconds=revision.timeout.total_seconds(),
        max_concurrency=revision.max_instance_request_concurrency,
        instances=tuple(RoutedInstance(_HOST, port) for port in sorted(one.port for one in instances)),
    )
