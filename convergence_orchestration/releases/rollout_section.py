"""The section `rollout:` of a specification: how a release goes to everybody in one environment.

What belongs here: the fields as they stand in YAML. What they have to be is checked by policy.py, once for whoever makes one.
"""

from datetime import datetime, timedelta
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.releases.model import Percent
from convergence_orchestration.releases.policy import (
    FreezeWindow,
    JudgeSettings,
    RolloutPolicy,
    ServiceTargets,
)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Freeze(_Part):
    """A time, end exclusive, in which nothing is promoted."""

    start: AwareDatetime
    end: AwareDatetime
    reason: str = ""


class Targets(_Part):
    """What the service promises; exactly on a target is kept."""

    availability_percent: float = Field(default=99.9, description="Of probes and requests that are answered.")
    error_percent: float = Field(default=0.1, description="Of the answers that may be 5xx.")
    p95_ms: float = Field(default=200.0, description="Milliseconds that 95 of 100 answers may take.")
    p99_ms: float = Field(default=500.0, description="Milliseconds that 99 of 100 answers may take.")


class Judge(_Part):
    """How sure to be; each is explained in releases/policy.py."""

    bad_error_percent: float = Field(default=1.0, description="Rate of errors that has to be found quickly.")
    alpha: float = Field(default=0.001, description="How often a service on its target may be convicted.")
    beta: float = Field(default=0.01, description="How often a bad service may be accepted.")
    minimum_requests: int = Field(default=500, description="Fewer answers in a stage promote nothing.")
    probe_failures: int = Field(default=3, description="Failed probes of the tag in a row that convict.")
    worse_than_stable: float = Field(
        default=3.0, description="Times the stable revision's errors that convict."
    )
    least_share: float = Field(default=0.8, description="Part of its share below which a revision is quiet.")


class RolloutSection(_Part):
    """How a release goes to everybody; times in seconds unless the name says else."""

    stages: tuple[int, ...] = Field(default=(10, 50, 100), description="Percentages that rise to 100.")
    bake_seconds: float = Field(default=600, description="So long each stage is watched.")
    hold_seconds: float = Field(
        default=1800, description="So long it may stay undecided before a person is called."
    )
    settle_seconds: float = Field(
        default=300, description="So long Cloud Run may take before a person is called."
    )
    rollback_window_hours: float = Field(
        default=24, description="So long a stable revision may come back at once."
    )
    asks: int = Field(default=5, description="So often the same change is asked for.")
    targets: Targets = Targets()
    judge: Judge = Judge()
    freezes: tuple[Freeze, ...] = ()

    @model_validator(mode="after")
    def _is_a_policy(self) -> Self:
        try:
            self.policy()
        except PermanentError as error:
            raise ValueError(error.message) from None
        return self

    def policy(self, bake_seconds: float | None = None) -> RolloutPolicy:
        """The policy; with another bake if one is given.

        Raises:
            PermanentError: INVALID_SETTINGS.
        """
        return RolloutPolicy(
            stages=tuple(map(Percent, self.stages)),
            bake=timedelta(seconds=self.bake_seconds if bake_seconds is None else bake_seconds),
            hold=timedelta(seconds=self.hold_seconds),
            settle=timedelta(seconds=self.settle_seconds),
            rollback_window=timedelta(hours=self.rollback_window_hours),
            asks=self.asks,
            targets=ServiceTargets(**self.targets.model_dump()),
            judge=JudgeSettings(**self.judge.model_dump()),
            freezes=tuple(_window(one.start, one.end, one.reason) for one in self.freezes),
        )


def _window(start: datetime, end: datetime, reason: str) -> FreezeWindow:
    return FreezeWindow(start, end, reason)
