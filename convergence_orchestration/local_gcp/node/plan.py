"""What the node shall do next.

What belongs here: decisions about instances as pure functions, with the time passed in (seconds since 1970).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from convergence_orchestration.local_gcp.node.records import Instance

GRACE_SECONDS = 10.0
"""From SIGTERM to SIGKILL, as in Cloud Run."""
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 10.0
_STEADY_SECONDS = 10.0
_TRIES_OF_A_NEW_REVISION = 3
_LOOPING = 3
_UNKNOWN_LOAD_SECONDS = 1.0
_LONGEST_DRAIN_SECONDS = 30.0


@dataclass(frozen=True)
class Health:
    """How the instances of one revision fared.

    Attributes:
        failures: in a row, until an instance has served for ten seconds.
        problem: the last failure in words.
        may_start_at: before that none is started.
        is_hopeless: an instance had all the time of the start-up probe and did not answer.
    """

    failures: int = 0
    problem: str = ""
    may_start_at: float = 0.0
    is_hopeless: bool = False

    @property
    def has_failed_to_start(self) -> bool:
        """A new revision with this health is given up."""
        return self.is_hopeless or self.failures >= _TRIES_OF_A_NEW_REVISION

    @property
    def is_looping(self) -> bool:
        """Its instances end again and again."""
        return self.failures >= _LOOPING


@dataclass(frozen=True)
class Change:
    """How many instances to start, and which to take out of service."""

    start: int = 0
    drain: tuple[Instance, ...] = ()


def after_failure(health: Health, problem: str, now: float, *, is_hopeless: bool = False) -> Health:
    """The health after an instance ended, or did not come up; each time the next start waits twice as long."""
    pause = min(_FIRST_PAUSE_SECONDS * 2**health.failures, _LONGEST_PAUSE_SECONDS)
    return Health(health.failures + 1, problem, now + pause, is_hopeless)


def after_success(health: Health, instances: Sequence[Instance], now: float) -> Health:
    """The health once an instance has served for a while."""
    is_steady = any(
        instance.is_serving and now - (instance.ready_at or now) >= _STEADY_SECONDS for instance in instances
    )
    return Health() if health.failures and is_steady else health


def change(count: int, instances: Sequence[Instance], health: Health, now: float) -> Change:
    """From the instances that a revision has to the `count` that it shall have; the youngest go first."""
    kept = [instance for instance in instances if instance.draining_at is None]
    if len(kept) > count:
        youngest_first = sorted(kept, key=lambda one: (one.ready_at is None, one.created_at), reverse=True)
        return Change(drain=tuple(youngest_first[: len(kept) - count]))
    if len(kept) == count or now < health.may_start_at:
        return Change()
    return Change(start=1 if health.failures else count - len(kept))


def left_out(instance: Instance, version: int, *, was_routed: bool) -> Instance:
    """An instance that drains, once routes of this version were written without it."""
    return replace(instance, left_out_version=version if was_routed else 0)


def may_be_asked_to_end(instance: Instance, served_version: int, in_flight: float | None, now: float) -> bool:
    """No request can reach a draining instance any more, and those that did have most likely been answered."""
    if (
        instance.draining_at is None
        or instance.left_out_version is None
        or instance.terminated_at is not None
    ):
        return False
    if instance.left_out_version == 0:
        return True
    if served_version < instance.left_out_version:
        return False
    if in_flight is None:
        return now - instance.draining_at >= _UNKNOWN_LOAD_SECONDS
    longest = min(instance.timeout_seconds, _LONGEST_DRAIN_SECONDS)
    return in_flight == 0 or now - instance.draining_at >= longest


def must_be_ended(instance: Instance, now: float) -> bool:
    """It was asked to end and does not."""
    return instance.terminated_at is not None and now - instance.terminated_at >= GRACE_SECONDS


def is_too_late(instance: Instance, now: float) -> bool:
    """It had all the time that its start-up probe allows."""
    return instance.is_starting and now >= instance.deadline
