"""How many requests a release harmed, and how: what people got from it and would not have got without it.

What belongs here: counting from measurements, and saying it. Requests to a tag count too, for the meters do not tell them apart.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from math import log

from convergence_orchestration.releases.evidence import Measurement, RevisionEvidence
from convergence_orchestration.releases.model import (
    WHOLE,
    EventKind,
    Percent,
    ReleaseEvent,
    RevisionName,
)
from convergence_orchestration.releases.proportions import log_evidence_quiet

_MOVES = frozenset({EventKind.TRAFFIC_ASKED, EventKind.ROLLED_BACK})
_SLOW_ALLOWED = 0.01
_SURELY_MISSING = log(20)
"""The log evidence from which on a share that is too small is said to be none by chance."""
_PROBES_TELL = 3
"""After so many failed probes no such evidence is asked for: meters do not count what no instance takes."""


@dataclass(frozen=True)
class Harm:
    """Requests that went wrong, each counted once.

    Attributes:
        errors: answered with a 5xx status.
        given_up: their callers went away before there was an answer.
        slow: answered later than `slow_ms`, beyond the one in a hundred that may be.
        missing: about so many were sent to the revision by its share of the traffic and are counted nowhere: they hang still, or no
            instance was there to take them.
    """

    errors: int = 0
    given_up: int = 0
    slow: int = 0
    missing: int = 0
    slow_ms: float = 0.0

    @property
    def total(self) -> int:
        """All of them."""
        return self.errors + self.given_up + self.slow + self.missing

    def __str__(self) -> str:
        kinds = (
            (self.errors, f"{self.errors} errors"),
            (self.given_up, f"{self.given_up} given up by their callers"),
            (self.slow, f"{self.slow} slower than {self.slow_ms:g} ms"),
            (self.missing, f"about {self.missing} never answered"),
        )
        parts = ", ".join(words for number, words in kinds if number)
        return f"{self.total}: {parts}" if parts else "0"


@dataclass(frozen=True)
class _Stage:
    """A time, end exclusive (None: until now), in which the candidate had so much of the traffic."""

    percent: Percent
    start: datetime
    end: datetime | None

    def part_of(self, one: Measurement) -> float:
        """Which part of a measurement's time lies in the stage, 0 to 1."""
        start, end = max(one.start, self.start), min(one.end, self.end or one.end)
        return max((end - start) / (one.end - one.start), 0.0)


def harm_of(
    events: Iterable[ReleaseEvent],
    candidate: RevisionName | None,
    stable: RevisionName | None,
    measured: Mapping[RevisionName, tuple[Measurement, ...]],
    slow_ms: float,
) -> Harm:
    """What a candidate did to people.

    Args:
        events: of its release, in order.
        candidate: whose requests are counted.
        stable: whose they are compared with.
        measured: of both, from before the first stage until now.
        slow_ms: the latency that one in a hundred answers may exceed.
    """
    known = list(events)
    mine = measured.get(candidate, ()) if candidate is not None else ()
    theirs = measured.get(stable, ()) if stable is not None else ()
    whole = RevisionEvidence(candidate or RevisionName(""), mine)
    beyond = whole.latencies.surely_slower_than(slow_ms) if whole.latencies is not None else 0
    allowed = int(_SLOW_ALLOWED * whole.answered)
    return Harm(
        errors=whole.errors,
        given_up=whole.unanswered,
        # an error or a request that was given up may be among the slow ones, and counts once
        slow=max(beyond - whole.errors - whole.unanswered - allowed, 0),
        missing=_missing(known, mine, theirs),
        slow_ms=slow_ms,
    )


def _probes(events: Iterable[ReleaseEvent], outcome: str) -> int:
    """How many probes of a revision ended so, `ok` or `failed`, in all stages; each decision says it of the stage that it ends."""
    found = (event.evidence.get(f"probes_{outcome}") for event in events if event.kind in _MOVES)
    return sum(number for number in found if isinstance(number, int))


def _stages(events: Iterable[ReleaseEvent]) -> list[_Stage]:
    """From asking for a share to asking for the next: Cloud Run is late at both ends by about as much."""
    moves = [event for event in events if event.kind in _MOVES]
    ends = [event.recorded_at for event in moves[1:]]
    return [
        _Stage(move.traffic_percent, move.recorded_at, end)
        for move, end in zip_longest(moves, ends)
        if move.traffic_percent
    ]


def _missing(
    events: Sequence[ReleaseEvent], mine: Sequence[Measurement], theirs: Sequence[Measurement]
) -> int:
    """How many requests fewer were counted than the stable revision's number lets expect; 0 if that may be chance.

    A request counts when it ends, which may be long after its stage, so all of the candidate's are taken but those of the stages in
    which it had everything.
    """
    stages, probes = _stages(events), _probes(events, "ok")
    beside = expected = 0.0
    for stage in stages:
        if stage.percent < WHOLE:
            part = sum(one.requests * stage.part_of(one) for one in theirs)
            beside += part
            expected += part * stage.percent / (WHOLE - stage.percent)
    alone = [stage for stage in stages if stage.percent == WHOLE]
    all_mine = sum(one.requests * (1 - sum(stage.part_of(one) for stage in alone)) for one in mine)
    counted = max(all_mine - probes, 0.0)
    asked_beside = max(beside - probes, 0.0)
    expected *= asked_beside / beside if beside else 0.0
    if counted >= expected:
        return 0
    if _probes(events, "failed") >= _PROBES_TELL:
        return round(expected - counted)
    evidence = log_evidence_quiet(round(counted), round(asked_beside), expected / (expected + asked_beside))
    return round(expected - counted) if evidence >= _SURELY_MISSING else 0
