"""Where a service's requests shall go.

What belongs here: following traffic targets to revisions, and the form in which the node and the front door know them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from google.cloud.run_v2 import Condition, Revision, Service, TrafficTargetStatus

from convergence_orchestration.local_gcp.cloud_run import conditions, names
from convergence_orchestration.local_gcp.cloud_run.conditions import Reason
from convergence_orchestration.local_gcp.cloud_run.rules import LATEST
from convergence_orchestration.local_gcp.store import Rows

_MAX_REVISIONS = 1000


@dataclass(frozen=True)
class Share:
    """What one revision gets: a part of the requests in percent, and its tags."""

    percent: int
    tags: tuple[str, ...]


type Shares = Mapping[str, Share]
"""By the revision's short name."""


@dataclass(frozen=True)
class Target:
    """Where the requests shall go, or the condition that says why that is not known (yet)."""

    statuses: tuple[TrafficTargetStatus, ...] = ()
    obstacle: Condition | None = None

    @property
    def shares(self) -> Shares:
        """By revision."""
        return shares_of(self.statuses)


def target_of(rows: Rows, service: Service) -> Target:
    """Where the service's traffic targets lead now."""
    statuses = []
    for asked in service.traffic:
        name = _latest_ready(rows, service) if asked.type_ == LATEST else asked.revision
        revision = rows.get(Revision, names.revision_name(service.name, name)) if name else None
        if asked.type_ == LATEST and revision is None:
            revision = rows.get(Revision, service.latest_created_revision)
        obstacle = _obstacle(revision, asked.revision)
        if obstacle is not None or revision is None:
            return Target(obstacle=obstacle)
        statuses.append(
            TrafficTargetStatus(
                type_=asked.type_,
                revision=names.short(revision.name),
                percent=asked.percent,
                tag=asked.tag,
                uri=names.tag_uri(service.uri, asked.tag) if asked.tag else "",
            )
        )
    return Target(tuple(statuses))


def shares_of(statuses: Iterable[TrafficTargetStatus]) -> Shares:
    """Traffic by revision: a revision may be a target more than once."""
    shares: dict[str, Share] = {}
    for status in statuses:
        before = shares.get(status.revision, Share(0, ()))
        tags = (*before.tags, status.tag) if status.tag else before.tags
        shares[status.revision] = Share(before.percent + status.percent, tuple(sorted(tags)))
    return {name: share for name, share in shares.items() if share.percent or share.tags}


def named_revisions(service: Service) -> set[str]:
    """Short names of the revisions that get traffic, or have a tag, now or as asked for."""
    named = {target.revision for target in service.traffic if target.revision}
    return named | {status.revision for status in service.traffic_statuses}


def _obstacle(revision: Revision | None, asked: str) -> Condition | None:
    if revision is None:
        message = f"Revision '{asked}' does not exist or is deleted. Update all traffic to route to currently available revisions."
        return conditions.failed(conditions.ROUTES_READY, message, Reason.INTERNAL)
    if conditions.is_ready(revision):
        return None
    ready = conditions.of(revision, conditions.READY)
    if ready is None or not conditions.has_failed(revision):
        return conditions.waiting(conditions.ROUTES_READY, "Waiting for a revision to become ready.")
    condition = conditions.retyped(ready, conditions.ROUTES_READY)
    condition.message = not_ready(revision, ready)
    return condition


def not_ready(revision: Revision, ready: Condition) -> str:
    """What Cloud Run says of a service because of a failed revision."""
    return f"Revision '{names.short(revision.name)}' is not ready and cannot serve traffic. {ready.message}"


def _latest_ready(rows: Rows, service: Service) -> str:
    newest = rows.newest_first(Revision, service.name, 0, _MAX_REVISIONS)
    return next((names.short(revision.name) for _, revision in newest if conditions.is_ready(revision)), "")
