"""What the sensor does in one tick: look a few times, record what only has to be recorded, and say what a run has to do.

What belongs here: the tick without Dagster. What changes infrastructure, or ends a release, is a run: a tick that finds such a
decision ends at once.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from convergence_orchestration.releases.history import fold
from convergence_orchestration.releases.model import ReleaseEvent
from convergence_orchestration.releases.store import in_order
from convergence_orchestration.releases.traffic.migrating import Decided, decide_now, event_for
from convergence_orchestration.releases.traffic.probing import Tallies, from_json, to_json
from convergence_orchestration.releases.traffic.scene import Scene, stage_began_at

IDLE_SECONDS = 15
"""Between two looks where no release is under way: BigQuery bills 10 MB for each."""
TICK_SECONDS = 4.0
"""So long a tick watches a release that is under way; Dagster ticks every 5 s."""
_LOOKS_A_STEP = 10
_SHORTEST_PAUSE = 0.5


@dataclass(frozen=True)
class Memory:
    """What one tick leaves to the next one, as the sensor's cursor; nothing that could not be found out again.

    Attributes:
        stage: since when the tallies count, ISO 8601.
        tallies: probes of each revision in the stage.
        idle_until: no look before it.
    """

    stage: str = ""
    tallies: Tallies | None = None
    idle_until: str = ""

    def to_json(self) -> dict[str, Any]:
        """For the cursor."""
        return {"stage": self.stage, "probes": to_json(self.tallies or {}), "idle_until": self.idle_until}

    def is_idle(self, now: datetime) -> bool:
        """Whether it was found a moment ago that there is nothing to watch."""
        return bool(self.idle_until) and now < datetime.fromisoformat(self.idle_until)


@dataclass(frozen=True)
class Ticked:
    """What a tick came to.

    Attributes:
        memory: for the next tick.
        decision: the event that a run has to write and carry out; None: no run is needed.
        words: for whoever looks at the tick.
    """

    memory: Memory
    words: str
    decision: ReleaseEvent | None = None


def memory_of(cursor: str | None, environment: str) -> Memory:
    """What the last tick left of an environment; nothing if it cannot be read."""
    try:
        kept = json.loads(cursor or "{}").get(environment, {})
        return Memory(kept.get("stage", ""), from_json(kept.get("probes", {})), kept.get("idle_until", ""))
    except (ValueError, TypeError, AttributeError):
        return Memory()


def tick(
    scene: Scene,
    memory: Memory,
    pause: Callable[[float], None],
    last_written: str = "",
    seconds: float = TICK_SECONDS,
) -> Ticked:
    """Watch one service for a few seconds.

    Args:
        scene: the service.
        memory: of the tick before.
        pause: sleeps so many seconds.
        last_written: the event that the last run wrote; until it is read nothing is decided, or our own change would look
            like somebody else's.
        seconds: how long to watch.

    Raises:
        ConvergenceError: from the log of events.
    """
    known = scene.read_events()
    if last_written and last_written not in {event.event_id for event in known}:
        return Ticked(memory, f"The event {last_written} of the last run cannot be read yet.")
    until = scene.clock() + timedelta(seconds=seconds)
    between = max(_SHORTEST_PAUSE, scene.meters.step.total_seconds() / _LOOKS_A_STEP)
    while True:
        memory = _for_stage(memory, known)
        decided = decide_now(scene, known, memory.tallies or {})
        memory = replace(memory, tallies=decided.tallies)
        event = event_for(scene, decided)
        if event is not None and (decided.moves_traffic or decided.ends_the_release):
            return Ticked(memory, decided.action.reason, event)
        if event is not None:
            scene.events.append(event)
            known = in_order((*known, event))
            continue
        if _is_quiet(decided):
            return Ticked(_idle(scene), decided.action.reason)
        if scene.clock() + timedelta(seconds=between) >= until:
            return Ticked(memory, decided.action.reason)
        pause(between)


def _is_quiet(decided: Decided) -> bool:
    rollout = decided.history.rollout
    return rollout is None or (rollout.ended is not None and rollout.go_back is None)


def _idle(scene: Scene) -> Memory:
    return Memory(idle_until=(scene.clock() + timedelta(seconds=IDLE_SECONDS)).isoformat())


def _for_stage(memory: Memory, known: list[ReleaseEvent]) -> Memory:
    """Probes of earlier stages do not count."""
    history = fold(known)
    if history.rollout is None:
        return memory
    stage = stage_began_at(history).isoformat()
    return memory if memory.stage == stage else Memory(stage, {})
