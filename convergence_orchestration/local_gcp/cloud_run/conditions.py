"""Conditions: what a service or a revision says about itself.

What belongs here: making them, keeping one of each type, and Cloud Run's wording of failures.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from google.cloud.run_v2 import Condition

State: Any = Condition.State
Reason: Any = Condition.CommonReason
RevisionReason: Any = Condition.RevisionReason

READY = "Ready"
CONFIGURATIONS_READY = "ConfigurationsReady"
ROUTES_READY = "RoutesReady"
CONTAINER_READY = "ContainerReady"
CONTAINER_HEALTHY = "ContainerHealthy"
RESOURCES_AVAILABLE = "ResourcesAvailable"

_CODES = {
    Reason.CONTAINER_MISSING: 5,
    Reason.SECRETS_ACCESS_CHECK_FAILED: 7,
    Reason.INTERNAL: 13,
}
_FAILED_PRECONDITION = 9
NOT_LISTENING = (
    "The user-provided container failed to start and listen on the port defined provided by the PORT={port} "
    "environment variable within the allocated timeout. This can happen when the container port is misconfigured or "
    "if the timeout is too short. The health check timeout can be extended. Logs for this revision might contain more "
    "information."
)
PROBE_FAILED = "The user-provided container failed the configured startup probe checks. Logs for this revision might contain more information."


def succeeded(type_: str) -> Condition:
    """It is so."""
    return Condition(type_=type_, state=State.CONDITION_SUCCEEDED)


def waiting(type_: str, message: str = "") -> Condition:
    """It is not so yet."""
    return Condition(type_=type_, state=State.CONDITION_RECONCILING, message=message)


def failed(type_: str, message: str, reason: Any = None) -> Condition:  # noqa: ANN401 an enum made at run time
    """It is not so, and will not be by itself."""
    condition = Condition(type_=type_, state=State.CONDITION_FAILED, message=message, severity=1)
    if reason is not None and isinstance(reason, RevisionReason):
        condition.revision_reason = reason
    elif reason is not None:
        condition.reason = reason
    return condition


def retyped(condition: Condition, type_: str) -> Condition:
    """The same said of something else."""
    copy = Condition(condition)
    copy.type_ = type_
    return copy


def put(resource: Any, condition: Condition, now: datetime) -> None:  # noqa: ANN401 a service or a revision
    """Have the resource say this; the time of a state's change stays while the state does."""
    before = of(resource, condition.type_)
    is_same = before is not None and before.state == condition.state
    condition.last_transition_time = before.last_transition_time if before and is_same else now
    others = [other for other in resource.conditions if other.type_ != condition.type_]
    resource.conditions = [*others, condition]


def of(resource: Any, type_: str) -> Condition | None:  # noqa: ANN401 a service or a revision
    """What the resource says of this."""
    return next((found for found in resource.conditions if found.type_ == type_), None)


def is_in(resource: Any, type_: str, *states: Any) -> bool:  # noqa: ANN401 a service or a revision
    """The resource says of this one of the states."""
    found = of(resource, type_)
    return found is not None and found.state in states


def is_ready(revision: Any) -> bool:  # noqa: ANN401 a revision
    """The revision has been able to serve once."""
    return is_in(revision, READY, State.CONDITION_SUCCEEDED)


def has_failed(revision: Any) -> bool:  # noqa: ANN401 a revision
    """The revision has never been able to serve, and is not tried again."""
    return is_in(revision, READY, State.CONDITION_FAILED)


def code_of(condition: Condition) -> int:
    """The number of the canonical code that an operation ends with because of a failed condition."""
    return _CODES.get(condition.reason, _FAILED_PRECONDITION)


def overall(parts: Iterable[Condition]) -> Condition:
    """What follows for the whole: waiting goes before failure, the first failure before success."""
    found = list(parts)
    for state in (State.CONDITION_RECONCILING, State.CONDITION_FAILED):
        for part in found:
            if part.state == state:
                return retyped(part, READY)
    return succeeded(READY)
