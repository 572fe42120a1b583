"""What the store asks of the node.

What belongs here: reading it, in one transaction, into what the decisions are made from.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from google.cloud.run_v2 import Revision, Service

from convergence_orchestration.local_gcp.cloud_run import conditions, names
from convergence_orchestration.local_gcp.cloud_run.routing import Shares, shares_of, target_of
from convergence_orchestration.local_gcp.store import Rows

_NEWEST = 20
"""Among how many of a service's revisions new ones are looked for."""


@dataclass(frozen=True)
class WantedService:
    """A service: where its requests shall go (None: not known yet), and where they were last seen to go."""

    name: str
    target: Shares | None
    served: Shares
    is_deleting: bool


@dataclass(frozen=True)
class WantedRevision:
    """A revision that shall run: because it is new and has to show that it can, or because requests go there."""

    revision: Revision
    is_new: bool
    is_routed: bool

    @property
    def short(self) -> str:
        """The name without its service's."""
        return names.short(self.revision.name)


@dataclass(frozen=True)
class Desired:
    """All of it; revisions by full name."""

    services: tuple[WantedService, ...]
    revisions: Mapping[str, WantedRevision]


def desired(rows: Rows) -> Desired:
    """What shall be now."""
    services = [_service(rows, service) for service in rows.of_kind(Service)]
    revisions: dict[str, WantedRevision] = {}
    for service in services:
        if not service.is_deleting:
            revisions |= _revisions(rows, service)
    return Desired(tuple(services), revisions)


def _service(rows: Rows, service: Service) -> WantedService:
    target = target_of(rows, service)
    return WantedService(
        name=service.name,
        target=None if target.obstacle is not None else target.shares,
        served=shares_of(service.traffic_statuses),
        is_deleting=bool(service.delete_time),
    )


def _revisions(rows: Rows, service: WantedService) -> dict[str, WantedRevision]:
    newest = {
        revision.name: revision for _, revision in rows.newest_first(Revision, service.name, 0, _NEWEST)
    }
    found = {
        name: WantedRevision(revision, is_new=True, is_routed=False)
        for name, revision in newest.items()
        if not conditions.is_ready(revision) and not conditions.has_failed(revision)
    }
    for short in {*(service.target or {}), *service.served}:
        name = names.revision_name(service.name, short)
        revision = newest.get(name) or rows.get(Revision, name)
        if revision is not None:
            found[name] = WantedRevision(revision, is_new=False, is_routed=True)
    return found
