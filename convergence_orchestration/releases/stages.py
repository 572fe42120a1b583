"""Turning a wanted split into the whole traffic of a service, and telling whether the service shows it.

What belongs here: traffic targets, tags, and the comparison of what was asked with what is. When to ask for what is
rollout.py's business.
"""

from collections.abc import Mapping
from enum import StrEnum

from convergence_orchestration.releases.model import Condition, ServiceState, TrafficTarget, shares_of
from convergence_orchestration.releases.standing import Asked, Shares


class Seen(StrEnum):
    """What became of the traffic that was asked for."""

    VERIFIED = "VERIFIED"
    """Served, and the service is settled."""
    UNDER_WAY = "UNDER_WAY"
    """The service was asked for it and is not done."""
    NOT_ASKED = "NOT_ASKED"
    """The service never heard of it."""
    FOREIGN = "FOREIGN"
    """The service was asked for something else, by somebody else."""


def seen(service: ServiceState, asked: Asked) -> Seen:
    """What became of the traffic that was asked for last, by what the service itself shows."""
    shown = shares_of(service.asked)
    if shown == asked.shares:
        return Seen.VERIFIED if service.serves(asked.shares) else Seen.UNDER_WAY
    if asked.verified_at is not None:
        return Seen.FOREIGN
    # another change of the service, such as a deployment, may have come first: then the shares are as they were
    untouched = asked.generation in {None, service.generation} or shown == asked.before
    return Seen.NOT_ASKED if untouched else Seen.FOREIGN


def targets_for(service: ServiceState, shares: Shares) -> tuple[TrafficTarget, ...]:
    """The whole traffic with these shares: every tag stays where it is.

    Only tags of revisions that failed go: left in the traffic, such a revision would break the next deployment.
    """
    shared = [TrafficTarget(name, share) for name, share in shares.items() if share]
    tagged = [
        TrafficTarget(target.revision, tag=target.tag)
        for target in service.asked
        if target.tag and not _has_failed(service, target)
    ]
    return (*shared, *tagged)


def asked_of(service: ServiceState) -> Mapping[str, object]:
    """What the next change is based on, to be kept with its event: history.py reads it."""
    return {
        "service": {
            "generation": service.generation,
            "shares": {str(name): int(share) for name, share in shares_of(service.asked).items()},
        }
    }


def _has_failed(service: ServiceState, target: TrafficTarget) -> bool:
    revision = service.revision(target.revision)
    return revision is not None and revision.ready is Condition.FAILED
