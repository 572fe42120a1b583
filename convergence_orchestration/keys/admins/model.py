"""What administrators' keys are like as versions of secrets, and every decision about them.

What belongs here: types and pure functions with the clock passed in. Nothing here holds a key.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.secret_versions import Version, VersionState
from convergence_orchestration.settings import Environment

UNNAMED = "administrator"
"""The name of whoever has the environment's own key, the guide's `admin-api-key-<environment>`."""

NAME_PATTERN = r"[a-z][a-z0-9-]{1,30}"
NAME_LABEL = "administrator"
ROTATIONS_ANNOTATION = "convergence-rotations"
ANNOUNCED = timedelta(days=14)
"""So long before its time a rotation is announced."""

KEPT_DISABLED = timedelta(days=7)
"""A version that is not accepted any more can be enabled again for so long; then it is destroyed."""

_GRACE = timedelta(days=1)  # the daily check has had its chance
_RESERVED = frozenset({UNNAMED, "anybody"})
_SEPARATOR = "--"
_ROTATIONS_KEPT = 5


def secret_prefix(environment: Environment) -> str:
    """What the names of an environment's administrators' secrets begin with; alone it is the unnamed one's."""
    return f"admin-api-key-{environment.short}"


def secret_id_of(environment: Environment, name: str = UNNAMED) -> str:
    """The secret that holds an administrator's key.

    Raises:
        PermanentError: INVALID_ARGUMENT, it cannot be a name.
    """
    if name == UNNAMED:
        return secret_prefix(environment)
    if re.fullmatch(NAME_PATTERN, name) is None or name in _RESERVED or _SEPARATOR in name:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Choose a name of 2 to 31 small letters, digits and single -, beginning with a letter, and not "
            f"{' or '.join(sorted(_RESERVED))}.",
            {"field": "name"},
        )
    return f"{secret_prefix(environment)}{_SEPARATOR}{name}"


def environment_of(secret_id: str) -> Environment | None:
    """Whose administrators' key a secret is by its name; None if it is none."""
    prefix = secret_id.partition(_SEPARATOR)[0]
    return next((each for each in Environment if secret_prefix(each) == prefix), None)


def name_in(secret_id: str) -> str:
    """The administrator's name in a secret's."""
    return secret_id.partition(_SEPARATOR)[2] or UNNAMED


@dataclass(frozen=True)
class Rotation:
    """A rotation that was begun: it makes the version behind `after`.

    It is written beside the secret before the version is made, so that whoever meets the new version knows for how long
    the one before it counts, and a repetition of the same run makes no second one.

    Attributes:
        run: the id of the run that does it, the same for its retries.
        after: the newest version's number when it began.
        overlap_hours: so long the version before is still accepted.
        at: when it began, ISO 8601 in UTC.
    """

    run: str
    after: int
    overlap_hours: float
    at: str

    @property
    def overlap(self) -> timedelta:
        """For how long both keys work."""
        return timedelta(hours=self.overlap_hours)

    @property
    def began(self) -> datetime:
        """When it began."""
        return datetime.fromisoformat(self.at)


def rotation_of(run: str, after: int, overlap: timedelta, now: datetime) -> Rotation:
    """A rotation that begins now."""
    return Rotation(run, after, overlap / timedelta(hours=1), now.astimezone(UTC).isoformat())


def rotations_in(annotation: str | None) -> tuple[Rotation, ...]:
    """The rotations written beside a secret, the oldest first; what cannot be read counts as nothing."""
    try:
        return tuple(_checked(Rotation(**each)) for each in json.loads(annotation or "[]"))
    except (ValueError, TypeError):
        return ()


def with_rotation(rotations: Sequence[Rotation], one: Rotation) -> str:
    """The annotation that holds one more rotation, and the last few before it."""
    return json.dumps([asdict(each) for each in [*rotations, one][-_ROTATIONS_KEPT:]])


def _checked(rotation: Rotation) -> Rotation:
    if rotation.began.tzinfo is None or not 0 <= rotation.overlap_hours < float("inf"):
        raise ValueError(rotation.run)
    return rotation


@dataclass(frozen=True)
class Counting:
    """Which versions count as keys: `current`, and `previous` until `overlap_ends`."""

    current: Version | None = None
    previous: Version | None = None
    overlap_ends: datetime | None = None


def counting(versions: Sequence[Version], rotations: Sequence[Rotation], default: timedelta) -> Counting:
    """The newest enabled version counts, and the enabled one before it until the overlap is over.

    The overlap is that of the rotation which made the newest one, `default` if no rotation did.
    """
    enabled = sorted(
        (each for each in versions if each.state is VersionState.ENABLED),
        key=lambda each: each.number,
        reverse=True,
    )
    if not enabled:
        return Counting()
    current = enabled[0]
    made_by = [each for each in rotations if each.after + 1 == current.number]
    overlap = made_by[-1].overlap if made_by else default
    # without an overlap no clock is asked: the version is made by Google's, and may be a second ahead of ours
    previous = enabled[1] if len(enabled) > 1 and overlap else None
    return Counting(current, previous, current.created_at + overlap)


@dataclass(frozen=True)
class Retirement:
    """The numbers of versions to disable, and of those to destroy."""

    disable: tuple[int, ...] = ()
    destroy: tuple[int, ...] = ()


NOTHING_RETIRED = Retirement()


def retirement(versions: Sequence[Version], count: Counting, now: datetime) -> Retirement:
    """What is to be done with versions older than the current one; without a current one nothing is."""
    if count.current is None or count.overlap_ends is None:
        return NOTHING_RETIRED
    older = [each for each in versions if each.number < count.current.number]
    is_over = now >= count.overlap_ends
    disable = [
        each.number
        for each in older
        if each.state is VersionState.ENABLED and (is_over or each != count.previous)
    ]
    destroy = [
        each.number
        for each in older
        if each.state is VersionState.DISABLED and now >= count.overlap_ends + KEPT_DISABLED
    ]
    return Retirement(tuple(disable), tuple(destroy))


class AgeState(StrEnum):
    """How a key stands to its rotation."""

    MISSING = "MISSING"
    FRESH = "FRESH"
    DUE_SOON = "DUE_SOON"
    DUE = "DUE"
    OVERDUE = "OVERDUE"


ROTATED_STATES = frozenset({AgeState.DUE, AgeState.OVERDUE})


@dataclass(frozen=True)
class Verdict:
    """How old a key is: the current version's number, when it was made and when it is due (UTC)."""

    state: AgeState
    number: int | None = None
    created_at: datetime | None = None
    due_at: datetime | None = None


def judge_age(versions: Sequence[Version], now: datetime, rotation: timedelta) -> Verdict:
    """How the newest enabled version stands to the rotation every `rotation`; a day after its time it is OVERDUE."""
    current = counting(versions, (), timedelta()).current
    if current is None:
        return Verdict(AgeState.MISSING)
    due = current.created_at + rotation
    if now >= due + _GRACE:
        state = AgeState.OVERDUE
    elif now >= due:
        state = AgeState.DUE
    else:
        state = AgeState.DUE_SOON if now >= due - ANNOUNCED else AgeState.FRESH
    return Verdict(state, current.number, current.created_at, due)
