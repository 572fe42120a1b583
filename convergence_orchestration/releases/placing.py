"""Where a new revision stands among those that serve: its tag, the traffic beside it, and who is stable.

What belongs here: pure functions over a service as it was read. Asking Cloud Run for it is deploying.py.
"""

from collections.abc import Collection, Iterable

from convergence_orchestration.releases.model import (
    NONE,
    WHOLE,
    Condition,
    EventKind,
    Percent,
    ReleaseEvent,
    RevisionName,
    ServiceState,
    TrafficTarget,
    shares_of,
)


def stable_of(
    service: ServiceState, candidate: RevisionName, unproven: Collection[RevisionName] = ()
) -> RevisionName | None:
    """The revision that has the most traffic and proved itself; None for a first deployment.

    Args:
        service: as it was read.
        candidate: never it.
        unproven: revisions whose deployment failed: one may have all traffic because it is the only one there is.
    """
    shares = shares_of(service.asked)
    proved = [
        name for name in shares if name != candidate and name not in unproven and _can_serve(service, name)
    ]
    return max(proved, key=lambda name: shares[name], default=None)


def unproven(events: Iterable[ReleaseEvent]) -> frozenset[RevisionName]:
    """Revisions of a service that were made and never handed over."""
    known = list(events)
    made = {event.revision for event in known if event.kind in {EventKind.DEPLOYED, EventKind.FAILED}}
    proved = {event.revision for event in known if event.kind is EventKind.HANDED_OVER}
    return frozenset(name for name in made - proved if name is not None)


def choose_tag(
    service: ServiceState | None, candidate: RevisionName, tags: tuple[str, ...], stable: RevisionName | None
) -> str:
    """The tag for the candidate: the one it has, else one that is free, else the one that is missed least; never the stable's."""
    if service is None:
        return tags[0]
    holders = {target.tag: target.revision for target in service.asked if target.tag}
    own = [tag for tag in tags if holders.get(tag) == candidate]
    if own:
        return own[0]
    shares = shares_of(service.asked)
    possible = [tag for tag in tags if stable is None or holders.get(tag) != stable]
    return min(possible, key=lambda tag: (tag in holders, holders.get(tag) in shares))


def traffic_with(
    service: ServiceState | None, candidate: RevisionName, tag: str
) -> tuple[TrafficTarget, ...]:
    """The whole traffic with the candidate on its tag and, beside others, without a share.

    Shares and tags of others stay. Revisions that failed are left out: Cloud Run takes no change with one of them. What share
    that leaves over, and everything in a first deployment, is the candidate's, for Cloud Run wants 100 in all.
    """
    kept = [
        target
        for target in (service.asked if service is not None else ())
        if target.revision != candidate and service is not None and _can_serve(service, target.revision)
    ]
    shares = shares_of(tuple(kept))
    left = Percent(WHOLE - sum(shares.values()))
    return (
        *(TrafficTarget(name, share) for name, share in shares.items()),
        *(TrafficTarget(one.revision, tag=one.tag) for one in kept if one.tag and one.tag != tag),
        *((TrafficTarget(candidate, left),) if left else ()),
        TrafficTarget(candidate, NONE, tag),
    )


def traffic_without(service: ServiceState, candidate: RevisionName) -> tuple[TrafficTarget, ...] | None:
    """The whole traffic without the candidate; None if it has a share that nobody else can take, or is not in it."""
    kept = tuple(target for target in service.asked if target.revision != candidate)
    if len(kept) == len(service.asked) or sum(shares_of(kept).values()) != WHOLE:
        return None
    return kept


def has_tag(service: ServiceState, candidate: RevisionName, tag: str) -> bool:
    """Whether it was asked that the tag leads to the candidate."""
    return any(target.tag == tag and target.revision == candidate for target in service.asked)


def tag_uri(service: ServiceState, revision: RevisionName) -> str:
    """Where a tag of the revision answers, as Cloud Run says; empty if it has none."""
    return next((one.uri for one in service.serving if one.revision == revision and one.tag and one.uri), "")


def _can_serve(service: ServiceState, name: RevisionName) -> bool:
    """Whether the revision is there and has not failed: one that is pending still may."""
    found = service.revision(name)
    return found is not None and found.ready is not Condition.FAILED
