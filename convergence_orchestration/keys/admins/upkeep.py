"""The daily look at every administrator's key: rotate what is due, retire what is over, tell how each stands.

What belongs here: going through the roll. How a key stands is decided in `model.py`, rotations are `rotating.py`.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError
from convergence_orchestration.gcp.secret_versions import SecretVersions, VersionState
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys.admin import check, key_in
from convergence_orchestration.keys.admins import roll
from convergence_orchestration.keys.admins.elsewhere import refuse_shared
from convergence_orchestration.keys.admins.model import (
    NOTHING_RETIRED,
    ROTATED_STATES,
    UNNAMED,
    AgeState,
    Retirement,
    Verdict,
    judge_age,
    secret_id_of,
)
from convergence_orchestration.keys.admins.rotating import Rotating, retire, rotate
from convergence_orchestration.settings import Settings

_BAD = frozenset({AgeState.DUE, AgeState.OVERDUE, AgeState.MISSING})


@dataclass(frozen=True)
class Kept:
    """How one administrator's key stands after the look.

    Attributes:
        verdict: of the newest enabled version, after a rotation of the new one.
        rotated: this look made a new version.
        retired: what it did to older versions.
        trouble: what went wrong or is wrong with the key, and what to do; empty if nothing.
    """

    name: str
    verdict: Verdict
    rotated: bool = False
    retired: Retirement = NOTHING_RETIRED
    trouble: str = ""

    @property
    def is_well(self) -> bool:
        """Nobody has to do anything."""
        return not self.trouble and self.verdict.state not in _BAD


def administrators(settings: Settings, secrets: Secrets) -> list[str]:
    """Everybody who has a key, the environment's own first."""
    return [UNNAMED, *roll.names(secrets, settings.environment)]


def stand(settings: Settings, secrets: Secrets, name: str, now: datetime) -> Kept:
    """How one administrator's key stands; nothing is changed.

    Raises:
        ConvergenceError: Secret Manager does not answer.
    """
    secret_id = secret_id_of(settings.environment, name)
    try:
        versions = SecretVersions(secrets).versions(secret_id)
    except PermanentError as error:
        if error.code is not ErrorCode.NOT_FOUND:
            raise
        versions = []
    rotation = timedelta(days=settings.admin_key_rotation_days)
    kept = Kept(name, judge_age(versions, now, rotation))
    if not any(each.state is VersionState.ENABLED for each in versions):
        return kept
    return replace(kept, trouble=_unfit(settings, secrets, secret_id, kept.verdict))


def keep(settings: Settings, secrets: Secrets, name: str, run: str, now: datetime) -> Kept:
    """Rotate one administrator's key if it is due, and retire older versions. A failure is told, not raised.

    `run` is the same for all repetitions of this look.
    """
    kept = Kept(name, Verdict(AgeState.MISSING))
    try:
        kept = stand(settings, secrets, name, now)
        if kept.verdict.state in ROTATED_STATES:
            overlap = timedelta(hours=settings.admin_key_overlap_hours)
            done = rotate(settings, secrets, Rotating(run, name, overlap), now)
            return replace(stand(settings, secrets, name, now), rotated=done.is_new, retired=done.retired)
        if kept.verdict.state is AgeState.MISSING:
            return kept
        return replace(kept, retired=retire(settings, secrets, name, now))
    except ConvergenceError as error:
        return replace(kept, trouble=error.message)


def _unfit(settings: Settings, secrets: Secrets, secret_id: str, verdict: Verdict) -> str:
    """Why the newest enabled version cannot be a key of this environment; empty if it can."""
    key = key_in(secrets.access(secret_id, str(verdict.number)).payload)
    try:
        check(key, settings.environment, f"Version {verdict.number} of secret {secret_id}")
        refuse_shared(secrets, settings.environment, key)
    except PermanentError as error:
        return error.message
    return ""
