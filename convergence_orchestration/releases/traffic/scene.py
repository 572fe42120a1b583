"""Everything that a rollout of one environment reads and acts upon, and reading it.

What belongs here: one look at the service and at the evidence. What is decided from it is rollout.py, what is done then
migrating.py.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import httpx

from convergence_orchestration.errors import TransientError
from convergence_orchestration.gcp.run import CloudRun
from convergence_orchestration.releases.evidence import Evidence, RevisionEvidence
from convergence_orchestration.releases.model import ReleaseEvent, RevisionName, ServiceState
from convergence_orchestration.releases.policy import RolloutPolicy
from convergence_orchestration.releases.standing import History
from convergence_orchestration.releases.store import ReleaseEvents
from convergence_orchestration.releases.template import state_of
from convergence_orchestration.releases.traffic.meters import Meters
from convergence_orchestration.releases.traffic.probing import Tallies, probe_all, tallied

MOST_EARLIER = 3
"""So many earlier good revisions are looked after as targets of a rollback."""


@dataclass(frozen=True)
class Scene:
    """One service of one environment.

    Attributes:
        http: asks tags; its timeout is a probe's.
        clock: UTC.
    """

    environment: str
    service: str
    policy: RolloutPolicy
    run: CloudRun
    meters: Meters
    events: ReleaseEvents
    http: httpx.Client
    clock: Callable[[], datetime]

    def read_events(self) -> list[ReleaseEvent]:
        """Everything that happened to the service's releases."""
        return self.events.of_service(self.environment, self.service)


def read_service(scene: Scene, history: History) -> ServiceState | None:
    """The service with every revision that a decision may be about; None when it could not be read."""
    try:
        service = scene.run.find_service(scene.service)
        if service is None:
            return None
        bare = state_of(service, ())
        names = dict.fromkeys(
            (*revisions_of(history), *(one.revision for one in (*bare.asked, *bare.serving)))
        )
        found = (scene.run.find_revision(scene.service, name) for name in names if name)
        return state_of(service, [revision for revision in found if revision is not None])
    except TransientError:
        return None


def revisions_of(history: History) -> tuple[RevisionName, ...]:
    """The candidate, the stable revision, and those that were stable lately."""
    rollout = history.rollout
    if rollout is None:
        return ()
    wish = rollout.go_back
    wanted = (rollout.revision, rollout.stable, wish.revision if wish is not None else None)
    earlier = islice(reversed(list(history.good)), MOST_EARLIER)
    return tuple(dict.fromkeys(name for name in (*wanted, *earlier) if name is not None))


def probed(scene: Scene, service: ServiceState | None, before: Tallies) -> Tallies:
    """The tallies after one more probe of every revision that has a tag."""
    lines = service.serving if service is not None else ()
    uris = {one.revision: one.uri for one in lines if one.tag and one.uri}
    return tallied(before, probe_all(scene.http, uris))


def read_evidence(scene: Scene, history: History, service: ServiceState | None, tallies: Tallies) -> Evidence:
    """What was measured and probed since the stage was asked for."""
    if history.rollout is None:
        return Evidence()
    names = _worth_measuring(history, service)
    measured = scene.meters.read(names, stage_began_at(history), scene.clock())
    everybody: Iterable[RevisionName] = dict.fromkeys((*names, *tallies))
    return Evidence(
        tuple(RevisionEvidence(name, measured.get(name), tallies.get(name)) for name in everybody)
    )


def stage_began_at(history: History) -> datetime:
    """Since when evidence counts: the stage was asked for, or nothing was yet and the release handed over."""
    rollout = history.rollout
    assert rollout is not None  # noqa: S101 the caller looked
    return rollout.asked.at if rollout.asked is not None else rollout.handed_over_at


def _worth_measuring(history: History, service: ServiceState | None) -> tuple[RevisionName, ...]:
    shown = (one.revision for one in service.serving if one.percent) if service is not None else ()
    return tuple(dict.fromkeys((*revisions_of(history), *shown)))
