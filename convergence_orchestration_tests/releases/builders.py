"""A small world to release into: one service, its events, what is measured, and a clock that is turned by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count

from convergence_orchestration.releases.actions import Action, RollBack, ShiftTraffic
from convergence_orchestration.releases.evidence import (
    Evidence,
    Histogram,
    Measurement,
    Probes,
    RevisionEvidence,
)
from convergence_orchestration.releases.history import fold, is_news
from convergence_orchestration.releases.model import (
    Condition,
    EventKind,
    Numbers,
    Percent,
    ReleaseEvent,
    ReleaseId,
    Revision,
    RevisionName,
    ServiceState,
    TrafficTarget,
    Verdict,
    shares_of,
)
from convergence_orchestration.releases.policy import RolloutPolicy
from convergence_orchestration.releases.records import event_of
from convergence_orchestration.releases.rollout import decide
from convergence_orchestration.releases.standing import History, Rollout

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
OLD, NEW, NEWER = (
    RevisionName(f"api-0000{at}-{word}") for at, word in ((1, "old"), (2, "new"), (3, "newer"))
)
ANCIENT = RevisionName("api-00000-anc")
V1, V2, V3 = ReleaseId("v1"), ReleaseId("v2"), ReleaseId("v3")
BOUNDS = (50.0, 100.0, 200.0, 500.0, 1000.0)
POLICY = RolloutPolicy()
_numbers = count(1)


def revision(name: RevisionName, ready: Condition = Condition.SUCCEEDED, template: str = "") -> Revision:
    return Revision(name, ready, NOON - timedelta(days=1), template=template or name)


def latencies(requests: int, slower_than_200: int = 0, slower_than_500: int = 0) -> Histogram:
    counts = (requests - slower_than_200, 0, 0, slower_than_200 - slower_than_500, slower_than_500, 0)
    return Histogram(BOUNDS, counts)


def measured(start: datetime, seconds: float, requests: int, errors: int = 0, slow: int = 0) -> Measurement:
    end = start + timedelta(seconds=seconds)
    return Measurement(start, end, requests, errors, latencies(requests, slow))


OK_PROBES = Probes(ok=10)
FAILING_PROBES = Probes(ok=2, failed=3, failed_in_a_row=3, last_failure="timed out")


@dataclass
class World:
    """What a rollout acts upon. `tick` is what the edge does: decide, append the event, ask Cloud Run."""

    service: ServiceState
    policy: RolloutPolicy = POLICY
    now: datetime = NOON
    events: list[ReleaseEvent] = field(default_factory=list)
    known: dict[RevisionName, RevisionEvidence] = field(default_factory=dict)
    is_slow: bool = False
    """Whether Cloud Run takes its time: `settle` finishes what it was asked."""

    _history: History = field(default_factory=History)
    _events_folded: int = 0

    # what happens to it

    def event(
        self,
        kind: EventKind,
        release: ReleaseId = V2,
        revision: RevisionName | None = None,
        stable: RevisionName | None = None,
        percent: int | None = None,
        evidence: Numbers | None = None,
        verdict: Verdict | None = None,
    ) -> None:
        """Something that somebody else wrote."""
        self.events.append(
            ReleaseEvent(
                event_id=f"event-{next(_numbers)}",
                release_id=release,
                environment="staging",
                service="api",
                kind=kind,
                recorded_at=self.now,
                revision=revision,
                stable_revision=stable,
                traffic_percent=Percent(percent) if percent is not None else None,
                evidence=evidence or {},
                verdict=verdict,
                actor="dana",
                reason="because",
            )
        )

    def hand_over(
        self, revision: RevisionName = NEW, stable: RevisionName | None = OLD, release: ReleaseId = V2
    ) -> None:
        self.event(EventKind.HANDED_OVER, release, revision, stable)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def traffic(self, shares: Mapping[RevisionName, int]) -> None:
        """Somebody asks Cloud Run for this split."""
        lines = tuple(TrafficTarget(name, Percent(share)) for name, share in shares.items())
        tags = tuple(target for target in self.service.asked if target.tag)
        self._ask((*lines, *tags))

    def settle(self) -> None:
        self.service = replace(
            self.service,
            observed_generation=self.service.generation,
            serving=self.service.asked,
            reconciling=False,
        )

    def becomes(self, name: RevisionName, ready: Condition, why: str = "") -> None:
        others = tuple(one for one in self.service.revisions if one.name != name)
        self.service = replace(
            self.service, revisions=(*others, replace(revision(name), ready=ready, why=why))
        )

    def measure(
        self, name: RevisionName, *measurements: Measurement, probes: Probes | None = OK_PROBES
    ) -> None:
        self.known[name] = RevisionEvidence(name, measurements, probes)

    # what is done about it

    @property
    def rollout(self) -> Rollout:
        found = self._folded().rollout
        assert found is not None
        return found

    @property
    def shares(self) -> dict[RevisionName, Percent]:
        return shares_of(self.service.asked)

    @property
    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events]

    def decide(self) -> Action:
        return decide(self.service, Evidence(tuple(self.known.values())), self.events, self.policy, self.now)

    def record(self, action: Action) -> None:
        history = self._folded()
        if history.rollout is None or not is_news(action, history):
            return
        event = event_of(action, history.rollout, environment="staging", service="api", now=self.now)
        if event is not None and all(event.event_id != known.event_id for known in self.events):
            self.events.append(event)

    def carry_out(self, action: Action) -> None:
        if isinstance(action, ShiftTraffic | RollBack) and action.etag == self.service.etag:
            self._ask(action.targets)

    def tick(self) -> Action:
        action = self.decide()
        self.record(action)
        self.carry_out(action)
        return action

    def _ask(self, targets: tuple[TrafficTarget, ...]) -> None:
        generation = self.service.generation + 1
        self.service = replace(
            self.service, generation=generation, asked=targets, etag=f"etag-{generation}", reconciling=True
        )
        if not self.is_slow:
            self.settle()

    def _folded(self) -> History:
        if len(self.events) != self._events_folded:
            self._history, self._events_folded = fold(self.events), len(self.events)
        return self._history

    # shortcuts

    def to_stage(self, percent: int) -> None:
        """A healthy rollout up to the verified stage."""
        self.tick()
        self.tick()
        while self.rollout.asked is not None and self.rollout.asked.percent < percent:
            self.bake_well()
            self.tick()
            self.tick()

    def bake_well(self, requests: int = 5000) -> None:
        """A bake in which the candidate did well, measured to its end."""
        asked = self.rollout.asked
        assert asked is not None
        assert asked.verified_at is not None
        bake = self.policy.bake.total_seconds()
        theirs = requests * (100 - asked.percent) // max(asked.percent, 1)
        self.measure(self.rollout.revision, measured(asked.verified_at, bake, requests))
        if self.rollout.stable is not None:
            self.measure(self.rollout.stable, measured(asked.verified_at, bake, theirs))
        self.now = asked.verified_at + self.policy.bake


def world(
    *, stable: RevisionName | None = OLD, candidate: RevisionName = NEW, policy: RolloutPolicy = POLICY
) -> World:
    """A service whose stable revision has all traffic, and a release that was handed over."""
    names = dict.fromkeys(name for name in (stable, candidate) if name is not None)
    serving = (TrafficTarget(stable or candidate, Percent(100)), TrafficTarget(candidate, tag="candidate"))
    made = World(
        ServiceState(
            name="api",
            generation=1,
            observed_generation=1,
            reconciling=False,
            condition=Condition.SUCCEEDED,
            asked=serving,
            serving=serving,
            revisions=tuple(revision(name) for name in names),
            etag="etag-1",
        ),
        policy,
    )
    made.hand_over(candidate, stable)
    for name in names:
        made.measure(name)
    return made


def finished_world() -> World:
    """The same when the release is finished."""
    made = world()
    made.to_stage(100)
    made.bake_well()
    made.tick()
    return made
