"""Looking at many things at once, each with a deadline of its own: none that hangs keeps another from being seen.

What belongs here: threads and deadlines, and what an error means. What is looked at is in the other modules of this package.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock, Thread

from convergence_orchestration.errors import ConvergenceError, TransientError
from convergence_orchestration.health.model import Measure, ProbeName, ProbeResult, ProbeStatus

DEADLINE_SECONDS = 10.0
"""A look that takes longer says nothing; a round of them is over within a third of a minute."""
_LONGEST_MESSAGE = 500


@dataclass(frozen=True)
class Subject:
    """What a result is about."""

    probe: ProbeName
    target: str
    environment: str
    revision: str | None = None


@dataclass(frozen=True)
class Finding:
    """What was found of a subject; the whole look's time is its latency, if it came to an answer."""

    status: ProbeStatus
    message: str = ""
    status_code: int | None = None
    measured: Mapping[Measure, float] = field(default_factory=dict)
    was_answered: bool = True


def healthy(message: str = "", measured: Mapping[Measure, float] | None = None) -> Finding:
    """It is as it shall be."""
    return Finding(ProbeStatus.HEALTHY, message, measured=measured or {})


def unhealthy(message: str, measured: Mapping[Measure, float] | None = None) -> Finding:
    """It was asked and is not as it shall be."""
    return Finding(ProbeStatus.UNHEALTHY, message, measured=measured or {})


def unknown(message: str) -> Finding:
    """It could not be asked."""
    return Finding(ProbeStatus.UNKNOWN, message, was_answered=False)


@dataclass(frozen=True)
class Look:
    """One asking, which finds something about each of its subjects, in their order.

    Attributes:
        ask: may raise; what an error of ours means is said here, any other is a fault of the probe and finds nothing.
        seconds: so long it may take.
    """

    subjects: tuple[Subject, ...]
    ask: Callable[[], Sequence[Finding]]
    seconds: float = DEADLINE_SECONDS


def look_at_all(looks: Iterable[Look], clock: Callable[[], datetime]) -> list[ProbeResult]:
    """Look everywhere at once; one result for each subject, in order, whatever happens."""
    attempts = [_Attempt(look, clock()) for look in looks]
    for attempt in attempts:
        attempt.start()
    return [result for attempt in attempts for result in attempt.results()]


class _Attempt:
    """One look in a thread of its own, which is left to itself when its time is over."""

    def __init__(self, look: Look, at: datetime) -> None:
        self._look = look
        self._at = at
        self._lock = Lock()
        self._found: Sequence[Finding] | None = None
        self._milliseconds = 0.0
        self._until = 0.0
        # a daemon: one that never comes back must not keep the process from ending
        self._thread = Thread(target=self._run, name=look.subjects[0].probe, daemon=True)

    def start(self) -> None:
        self._until = time.monotonic() + self._look.seconds
        self._thread.start()

    def results(self) -> list[ProbeResult]:
        """Wait no longer than the deadline."""
        self._thread.join(max(0.0, self._until - time.monotonic()))
        with self._lock:
            found, milliseconds = self._found, self._milliseconds
        if found is None:
            late = unknown(f"There was no answer within {self._look.seconds:g} s.")
            found = [late] * len(self._look.subjects)
        pairs = zip(self._look.subjects, found, strict=True)
        return [_result(subject, finding, self._at, milliseconds) for subject, finding in pairs]

    def _run(self) -> None:
        began = time.perf_counter()
        found = _asked(self._look)
        milliseconds = (time.perf_counter() - began) * 1000
        with self._lock:
            self._found, self._milliseconds = found, milliseconds


def _asked(look: Look) -> Sequence[Finding]:
    try:
        found = look.ask()
    except ConvergenceError as error:
        return [meaning_of(error)] * len(look.subjects)
    except Exception as error:  # noqa: BLE001 whatever a probe did wrong, the others' results are wanted
        return [unknown(f"The probe itself failed: {type(error).__name__}.")] * len(look.subjects)
    if len(found) != len(look.subjects):
        return [unknown("The probe found something about other subjects than it shall.")] * len(look.subjects)
    return found


def meaning_of(error: ConvergenceError) -> Finding:
    """What may pass says nothing about the thing itself; what is refused for good is not as it shall be."""
    if isinstance(error, TransientError):
        return unknown(error.message)
    return unhealthy(error.message)


def _result(subject: Subject, finding: Finding, at: datetime, milliseconds: float) -> ProbeResult:
    return ProbeResult(
        probe=subject.probe,
        target=subject.target,
        environment=subject.environment,
        status=finding.status,
        at=at,
        revision=subject.revision,
        latency_ms=round(milliseconds, 1) if finding.was_answered else None,
        status_code=finding.status_code,
        message=finding.message[:_LONGEST_MESSAGE],
        measured=finding.measured,
    )
