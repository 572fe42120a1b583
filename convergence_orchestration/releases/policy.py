"""How a release goes to everybody: stages, times, targets, and how sure the judge has to be.

What belongs here: the settings of a rollout with their checks. Where they come from (environment, YAML) is the
edge's business; no policy exists that was not checked.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.releases.model import NONE, WHOLE, Percent


@dataclass(frozen=True)
class ServiceTargets:
    """What the service promises; exactly on a target is kept.

    Attributes:
        availability_percent: of the probes and requests that have to be answered.
        error_percent: of the answers that may be 5xx.
        p95_ms, p99_ms: milliseconds that 95 and 99 of 100 answers may take.
    """

    availability_percent: float = 99.9
    error_percent: float = 0.1
    p95_ms: float = 200.0
    p99_ms: float = 500.0

    def __post_init__(self) -> None:
        _check(0 < self.availability_percent <= WHOLE, "availability_percent", "above 0, at most 100")
        _check(0 < self.error_percent < WHOLE, "error_percent", "above 0 and below 100")
        _check(self.p95_ms > 0, "p95_ms", "above 0 milliseconds")
        _check(self.p99_ms >= self.p95_ms, "p99_ms", "at least p95_ms")

    @property
    def allowed_errors(self) -> float:
        """The proportion of errors that keeps both the error and the availability target."""
        unavailable = round(WHOLE - self.availability_percent, 9)  # 100 - 99.9 is a little less than 0.1
        return min(self.error_percent, unavailable or self.error_percent) / WHOLE


@dataclass(frozen=True)
class JudgeSettings:
    """How sure the judge has to be.

    Attributes:
        bad_error_percent: the rate of errors that has to be found quickly.
        alpha: how often, in one stage, a service that is on its target may be convicted by its errors. All other tests
            of the stage together get as much again: three stages stay below 6 x alpha.
        beta: how often a service with `bad_error_percent` may be accepted.
        minimum_requests: fewer answers of the candidate in a stage decide nothing good.
        probe_failures: failed probes of the tag in a row that convict.
        worse_than_stable: times the stable revision's errors that convict although the target is kept.
        least_share: the part of its share of the traffic below which a candidate counts as quiet.
    """

    bad_error_percent: float = 1.0
    alpha: float = 0.001
    beta: float = 0.01
    minimum_requests: int = 500
    probe_failures: int = 3
    worse_than_stable: float = 3.0
    least_share: float = 0.8

    def __post_init__(self) -> None:
        _check(0 < self.bad_error_percent < WHOLE, "bad_error_percent", "above 0 and below 100")
        for name in ("alpha", "beta"):
            _check(0 < getattr(self, name) <= 0.1, name, "above 0, at most 0.1")  # noqa: PLR2004 a tenth is no proof
        _check(self.minimum_requests >= 1, "minimum_requests", "at least 1")
        _check(self.probe_failures >= 1, "probe_failures", "at least 1")
        _check(self.worse_than_stable >= 1, "worse_than_stable", "at least 1")
        _check(0 < self.least_share < 1, "least_share", "between 0 and 1")


@dataclass(frozen=True)
class FreezeWindow:
    """A time, end exclusive, in which nothing is promoted; rolling back is always allowed."""

    start: datetime
    end: datetime
    reason: str = ""

    def __post_init__(self) -> None:
        _check(self.start < self.end, "freeze", "a window that ends after it starts")

    def covers(self, moment: datetime) -> bool:
        """Whether `moment` is in the window."""
        return self.start <= moment < self.end


DEFAULT_STAGES = (Percent(10), Percent(50), WHOLE)


@dataclass(frozen=True)
class RolloutPolicy:
    """How a release goes to everybody in one environment.

    Attributes:
        stages: the candidate's shares, strictly rising, the last 100.
        bake: how long each stage is watched, from the moment its traffic is verified.
        hold: how long behind the bake a stage may stay undecided before a person is called.
        settle: how long Cloud Run may take to do what it was asked before a person is called.
        rollback_window: how long a revision that was stable may come back without stages.
        asks: how often the same change is asked for that never shows, before a person is called.
        freezes: windows known beforehand; freezes by hand are events.
    """

    stages: tuple[Percent, ...] = DEFAULT_STAGES
    bake: timedelta = timedelta(seconds=600)
    hold: timedelta = timedelta(minutes=30)
    settle: timedelta = timedelta(minutes=5)
    rollback_window: timedelta = timedelta(hours=24)
    asks: int = 5
    targets: ServiceTargets = field(default_factory=ServiceTargets)
    judge: JudgeSettings = field(default_factory=JudgeSettings)
    freezes: tuple[FreezeWindow, ...] = ()

    def __post_init__(self) -> None:
        _check(bool(self.stages), "stages", "at least one percentage, for example 10, 50, 100")
        _check(all(NONE < stage <= WHOLE for stage in self.stages), "stages", "percentages from 1 to 100")
        rising = all(before < after for before, after in pairwise(self.stages))
        _check(rising, "stages", "percentages that rise, for example 10, 50, 100")
        _check(self.stages[-1] == WHOLE, "stages", "100 as the last percentage")
        for name in ("bake", "hold", "settle"):
            _check(getattr(self, name) > timedelta(), name, "more than 0 seconds")
        _check(self.rollback_window >= timedelta(), "rollback_window", "0 seconds or more")
        _check(self.asks >= 1, "asks", "at least 1")
        bad = self.judge.bad_error_percent / WHOLE
        _check(bad > self.targets.allowed_errors, "bad_error_percent", "more errors than the targets allow")

    def next_stage(self, percent: Percent) -> Percent | None:
        """The stage behind `percent`; None behind the last."""
        return next((stage for stage in self.stages if stage > percent), None)


def _check(holds: bool, name: str, wanted: str) -> None:  # noqa: FBT001 reads as the sentence it checks
    if not holds:
        raise PermanentError(
            ErrorCode.INVALID_SETTINGS, f"Set the rollout's {name} to {wanted}.", {"field": name}
        )
