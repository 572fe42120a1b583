"""What was measured of each revision: requests, errors, latencies, probes. Missing is told apart from zero.

What belongs here: the measurements as frozen dataclasses and how they add up. Reading meters is the edge's business,
judging them is judge.py's.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.releases.model import RevisionName


@dataclass(frozen=True)
class Histogram:
    """Latencies in milliseconds, counted in buckets.

    Attributes:
        bounds: rising; bucket i lies between bounds[i-1] and bounds[i] (which it includes), the first starts at 0 and the
            last has no end.
        counts: one more than bounds.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in zip((0.0, *self.bounds), self.bounds, strict=False))
        if not rising or len(self.counts) != len(self.bounds) + 1 or min(self.counts) < 0:
            raise PermanentError(
                ErrorCode.INVALID_ARGUMENT, "Give rising bounds above 0 and one more count, none negative."
            )

    @classmethod
    def of(cls, milliseconds: Iterable[float], bounds: Sequence[float]) -> "Histogram":
        """The latencies counted; use the targets as bounds and nothing about them is lost."""
        counts = [0] * (len(bounds) + 1)
        for latency in milliseconds:
            counts[bisect_left(bounds, latency)] += 1
        return cls(tuple(bounds), tuple(counts))

    @classmethod
    def sum(cls, histograms: Sequence["Histogram"]) -> "Histogram":
        """All of them counted together.

        Raises:
            PermanentError: INVALID_ARGUMENT when there is none or their bounds differ.
        """
        if len({one.bounds for one in histograms}) != 1:
            raise PermanentError(ErrorCode.INVALID_ARGUMENT, "Add up histograms of the same bounds only.")
        columns = zip(*(one.counts for one in histograms), strict=True)
        return cls(histograms[0].bounds, tuple(sum(column) for column in columns))

    @property
    def total(self) -> int:
        """How many were counted."""
        return sum(self.counts)

    def surely_slower_than(self, limit_ms: float) -> int:
        """How many took longer than `limit_ms`, leaving out those of the bucket that the limit cuts."""
        return sum(self.counts[bisect_left(self.bounds, limit_ms) + 1 :])

    def slower_than(self, limit_ms: float) -> float:
        """How many took longer than `limit_ms`; the bucket that the limit cuts is taken as evenly filled."""
        at = bisect_left(self.bounds, limit_ms)
        if at == len(self.bounds):  # in the last bucket, which has no end
            return float(self.counts[-1])
        low = self.bounds[at - 1] if at else 0.0
        beyond = (self.bounds[at] - limit_ms) / (self.bounds[at] - low)
        return self.surely_slower_than(limit_ms) + beyond * self.counts[at]

    def quantile(self, fraction: float) -> float | None:
        """Milliseconds within which that fraction was answered; None without latencies.

        The bucket is taken as evenly filled; in the last one it is that bucket's lower bound.
        """
        rank = fraction * self.total
        seen = 0.0
        for at, count in enumerate(self.counts):
            if count and seen + count >= rank:
                low = self.bounds[at - 1] if at else 0.0
                high = self.bounds[at] if at < len(self.bounds) else low
                return low + (high - low) * (rank - seen) / count
            seen += count
        return None


@dataclass(frozen=True)
class Measurement:
    """What the meters say of one revision between two moments.

    Attributes:
        start, end: UTC. Short ones (10 s or less) are worth having: what started before a stage does not count for it,
            and a fault that starts late is found sooner.
        requests: of every status, counted when they ended.
        errors: 5xx among them.
        latencies: None: not measured.
        unanswered: those among them whose callers gave up before there was an answer.
    """

    start: datetime
    end: datetime
    requests: int
    errors: int
    latencies: Histogram | None = None
    unanswered: int = 0

    def __post_init__(self) -> None:
        are_counts = min(self.errors, self.unanswered) >= 0 and self.errors + self.unanswered <= self.requests
        if not are_counts or self.start >= self.end:
            raise PermanentError(
                ErrorCode.INVALID_ARGUMENT,
                "Give no more errors than requests, none negative, and an end behind the start.",
            )


@dataclass(frozen=True)
class Probes:
    """What probing a revision's tag gave in the stage; `unknown` (the prober's own trouble) says nothing about it."""

    ok: int = 0
    failed: int = 0
    unknown: int = 0
    failed_in_a_row: int = 0
    last_failure: str = ""


@dataclass(frozen=True)
class RevisionEvidence:
    """Everything that is known of one revision.

    Attributes:
        measured: in order of time. None: could not be read, which is not the same as no requests: a stretch without
            requests is a measurement of zero, and a series that may still be late is None.
        probes: None: could not be read.
    """

    revision: RevisionName
    measured: tuple[Measurement, ...] | None = None
    probes: Probes | None = None

    def since(self, moment: datetime) -> "RevisionEvidence":
        """The same without measurements that started before `moment`."""
        if not self.measured or self.measured[0].start >= moment:
            return self
        later = tuple(one for one in self.measured if one.start >= moment)
        return RevisionEvidence(self.revision, later, self.probes)

    def before(self, moment: datetime) -> "RevisionEvidence":
        """The same without measurements that end behind `moment`."""
        if self.measured is None or self.until is None or self.until <= moment:
            return self
        earlier = tuple(one for one in self.measured if one.end <= moment)
        return RevisionEvidence(self.revision, earlier, self.probes)

    @cached_property
    def until(self) -> datetime | None:
        """How far the meters reach; None without a measurement."""
        return max((one.end for one in self.measured or ()), default=None)

    @cached_property
    def requests(self) -> int:
        """Answers; 0 also when nothing could be read, so ask `measured` first."""
        return sum(one.requests for one in self.measured or ())

    @cached_property
    def errors(self) -> int:
        """Answers with a 5xx status."""
        return sum(one.errors for one in self.measured or ())

    @cached_property
    def unanswered(self) -> int:
        """Requests whose callers gave up."""
        return sum(one.unanswered for one in self.measured or ())

    @cached_property
    def answered(self) -> int:
        """Requests that came to an answer, a bad one included."""
        return self.requests - self.unanswered

    @cached_property
    def answered_callers(self) -> int:
        """The same without our own probes, which the meters count too: where few ask, they would hide that a revision hangs."""
        return max(self.answered - (self.probes.ok if self.probes is not None else 0), 0)

    @cached_property
    def latencies(self) -> Histogram | None:
        """All latencies; None when they are missing for any stretch that had requests."""
        busy = [one.latencies for one in self.measured or () if one.requests]
        known = [latencies for latencies in busy if latencies is not None]
        return Histogram.sum(known) if known and len(known) == len(busy) else None


@dataclass(frozen=True)
class Evidence:
    """What is known of the service's revisions since the stage was asked for. A revision left out is unknown."""

    revisions: tuple[RevisionEvidence, ...] = ()

    def of(self, revision: RevisionName | None) -> RevisionEvidence:
        """What is known of `revision`, which may be nothing."""
        found = (one for one in self.revisions if one.revision == revision)
        return next(found, RevisionEvidence(revision or RevisionName("")))
