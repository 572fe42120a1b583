"""The screen of `convergence release watch`.

What belongs here: one look at the rollout, and drawing it with Rich. The look decides as the rollout would, and does nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from convergence_orchestration.releases.evidence import RevisionEvidence
from convergence_orchestration.releases.model import WHOLE, ReleaseEvent, shares_of
from convergence_orchestration.releases.report.story import state_of
from convergence_orchestration.releases.traffic.migrating import Decided, decide_now
from convergence_orchestration.releases.traffic.probing import Tallies
from convergence_orchestration.releases.traffic.scene import Scene

_EVENTS_SHOWN = 12
_LOOKS_BETWEEN_READS = 3
"""Events are read at every third look: BigQuery bills each."""
_COLORS = {"HEALTHY": "green", "UNHEALTHY": "red", "INCONCLUSIVE": "yellow", "UNKNOWN": "dim"}


@dataclass(frozen=True)
class Look:
    """What there is to see."""

    service: str
    environment: str
    events: tuple[ReleaseEvent, ...]
    decided: Decided


@dataclass
class Watched:
    """A rollout that is looked at again and again."""

    scene: Scene
    events: list[ReleaseEvent] = field(default_factory=list)
    tallies: Tallies = field(default_factory=dict)
    looks: int = 0

    def look(self) -> Look:
        """Look once.

        Raises:
            ConvergenceError: from the log of events.
        """
        if self.looks % _LOOKS_BETWEEN_READS == 0:
            self.events = self.scene.read_events()
        self.looks += 1
        decided = decide_now(self.scene, self.events, self.tallies)
        self.tallies = decided.tallies
        return Look(self.scene.service, self.scene.environment, tuple(self.events), decided)


def screen(look: Look) -> RenderableType:
    """Everything on one screen."""
    rollout = look.decided.history.rollout
    title = f"{look.service} ({look.environment})"
    if rollout is None:
        return Panel("No release was ever handed over here.", title=title)
    own = [event for event in look.events if event.release_id == rollout.release_id]
    action = look.decided.action
    said = Text.assemble(
        (f"{action.verdict}  ", _COLORS[action.verdict]),
        f"{type(action).__name__}: {action.reason}",
    )
    head = Text(f"{rollout.release_id}: {state_of(own)}", style="bold")
    return Panel(Group(head, _traffic(look), said, _events(own)), title=title)


def _traffic(look: Look) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("revision", "traffic", "", "requests", "errors", "p95 ms", "probes"):
        table.add_column(column)
    service, rollout = look.decided.service, look.decided.history.rollout
    shares = shares_of(service.serving) if service is not None else {}
    named = (rollout.revision, rollout.stable) if rollout is not None else ()
    for name in dict.fromkeys(one for one in (*named, *shares) if one is not None):
        share = shares.get(name, 0)
        bar = ProgressBar(total=WHOLE, completed=share, width=24)
        table.add_row(name, f"{share} %", bar, *_figures(look.decided.evidence.of(name)))
    return table


def _figures(evidence: RevisionEvidence) -> tuple[str, ...]:
    probes = evidence.probes
    probed = f"{probes.ok} ok, {probes.failed} failed" if probes is not None else "-"
    if evidence.measured is None:
        return ("?", "?", "?", probed)
    slow = evidence.latencies.quantile(0.95) if evidence.latencies else None
    return (str(evidence.requests), str(evidence.errors), "-" if slow is None else f"{slow:.0f}", probed)


def _events(own: Sequence[ReleaseEvent]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for event in own[-_EVENTS_SHOWN:]:
        percent = "" if event.traffic_percent is None else f"{event.traffic_percent} %"
        table.add_row(f"{event.recorded_at:%H:%M:%S}", event.kind.value, percent, Text(event.reason))
    return table
