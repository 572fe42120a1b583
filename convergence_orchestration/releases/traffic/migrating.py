"""Doing what was decided: the event first, then Cloud Run, then looking again.

What belongs here: one decision with everything it was made from, recording and carrying it out, and going on until nothing is
left to do now. Killed between any two lines, the next one who looks goes on: the event says what was meant, the service what is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from convergence_orchestration.errors import TransientError
from convergence_orchestration.gcp.run import is_stale
from convergence_orchestration.releases.actions import Action, Finish, Nothing, RollBack, ShiftTraffic, Stop
from convergence_orchestration.releases.evidence import Evidence
from convergence_orchestration.releases.history import fold, is_news
from convergence_orchestration.releases.model import ReleaseEvent, ServiceState
from convergence_orchestration.releases.records import event_of
from convergence_orchestration.releases.rollout import decide
from convergence_orchestration.releases.standing import History, Rollout
from convergence_orchestration.releases.store import in_order
from convergence_orchestration.releases.template import traffic_targets
from convergence_orchestration.releases.traffic.probing import Tallies
from convergence_orchestration.releases.traffic.scene import Scene, probed, read_evidence, read_service

ACTOR = "rollout"
"""As whom its decisions are recorded."""
NO_TALLIES: Tallies = MappingProxyType({})
WATCH = timedelta(seconds=15)
"""So long the run that began a stage watches it; then the sensor does."""
LOOK_SECONDS = 0.25
"""Between two looks at traffic that is being moved."""


@dataclass(frozen=True)
class Decided:
    """A decision with what it was made from; `tallies` are the probes, for the next one."""

    action: Action
    history: History
    service: ServiceState | None
    evidence: Evidence
    tallies: Tallies

    @property
    def is_news(self) -> bool:
        """Whether something is to be recorded."""
        return is_news(self.action, self.history)

    @property
    def moves_traffic(self) -> bool:
        """Whether Cloud Run is to be asked for something."""
        return isinstance(self.action, ShiftTraffic | RollBack)

    @property
    def ends_the_release(self) -> bool:
        """Whether the release is over with this."""
        return isinstance(self.action, Finish | Stop)

    def is_young(self, now: datetime, watch: timedelta) -> bool:
        """Whether the stage was verified so short a time ago, and nobody has stopped it."""
        rollout = self.history.rollout
        if rollout is None or not rollout.is_under_way or rollout.waits is not None or rollout.asked is None:
            return False
        if rollout.stable is None:  # nobody to go back to
            return False
        verified_at = rollout.asked.verified_at
        return verified_at is not None and now < verified_at + watch

    @property
    def waits_for_traffic(self) -> bool:
        """Whether traffic was asked for and is not there yet, so that looking again soon is worth it."""
        rollout = self.history.rollout
        if not isinstance(self.action, Nothing) or rollout is None or rollout.asked is None:
            return False
        return rollout.ended is None and (rollout.returning or rollout.asked.verified_at is None)


def decide_now(scene: Scene, events: Sequence[ReleaseEvent], tallies: Tallies) -> Decided:
    """Look and decide; nothing is changed."""
    history = fold(events)
    if history.rollout is None or _is_over(history.rollout):
        return Decided(Nothing(reason="There is no release under way."), history, None, Evidence(), {})
    service = read_service(scene, history)
    tallies = probed(scene, service, tallies)
    evidence = read_evidence(scene, history, service, tallies)
    action = decide(service, evidence, events, scene.policy, scene.clock())
    return Decided(action, history, service, evidence, tallies)


def event_for(scene: Scene, decided: Decided, run_id: str | None = None) -> ReleaseEvent | None:
    """The event that the decision is recorded as, or None if it is no news."""
    rollout = decided.history.rollout
    if rollout is None or not decided.is_news:
        return None
    return event_of(
        decided.action,
        rollout,
        environment=scene.environment,
        service=scene.service,
        now=scene.clock(),
        actor=ACTOR,
        run_id=run_id,
    )


def advance(
    scene: Scene,
    pause: Callable[[float], None],
    *,
    run_id: str,
    own: Sequence[ReleaseEvent] = (),
    tallies: Tallies = NO_TALLIES,
    patience: timedelta = timedelta(seconds=30),
    watch: timedelta = WATCH,
) -> tuple[ReleaseEvent, ...]:
    """Decide, record and act until nothing is to be done now or so much time has passed; what was recorded.

    Args:
        scene: the service.
        pause: sleeps so many seconds.
        run_id: who acts.
        own: events that were appended a moment ago and may not be read yet.
        tallies: what probes of the stage gave so far; each revision is probed once more at least.
        patience: for Cloud Run to carry out what it is asked.
        watch: how long a stage is young: what is bad mostly shows at once, and whoever watches need not be launched first.

    Raises:
        ConvergenceError: from Cloud Run or the log; what was recorded stays so, and whoever looks next goes on.
    """
    written: list[ReleaseEvent] = []
    known = in_order((*scene.read_events(), *own))
    until = scene.clock() + patience
    while True:
        decided = _decided_surely(scene, known, tallies)
        tallies = decided.tallies
        event = event_for(scene, decided, run_id)
        if event is not None and event.event_id not in {one.event_id for one in known}:
            scene.events.append(event)
            written.append(event)
            known = in_order((*known, event))
        if decided.moves_traffic:
            _ask(scene, decided.action)
        is_news = decided.moves_traffic or decided.waits_for_traffic or written[-1:] == [event]
        if not (is_news and scene.clock() < until) and not decided.is_young(scene.clock(), watch):
            return tuple(written)
        if decided.moves_traffic or decided.waits_for_traffic:
            pause(LOOK_SECONDS)
        elif not is_news:
            pause(LOOK_SECONDS)
            known = in_order((*known, *scene.read_events()))  # a person may have a word in it


def _decided_surely(scene: Scene, known: Sequence[ReleaseEvent], tallies: Tallies) -> Decided:
    """One decision; a candidate that fails its first probes is probed as often as convicts it, or until it answers."""
    decided = decide_now(scene, known, tallies)
    candidate = decided.history.rollout.revision if decided.history.rollout is not None else None
    while candidate is not None and not decided.moves_traffic:
        seen = decided.tallies.get(candidate)
        if seen is None or not 0 < seen.failed_in_a_row < scene.policy.judge.probe_failures:
            break
        decided = decide_now(scene, known, decided.tallies)
    return decided


def _ask(scene: Scene, action: Action) -> None:
    """Ask Cloud Run; a service that changed meanwhile is read and decided about anew."""
    assert isinstance(action, ShiftTraffic | RollBack)  # noqa: S101 the caller looked
    try:
        scene.run.change_traffic(scene.service, traffic_targets(action.targets), action.etag)
    except TransientError as error:
        if not is_stale(error):
            raise


def _is_over(rollout: Rollout) -> bool:
    return rollout.ended is not None and rollout.go_back is None
