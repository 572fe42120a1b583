"""Which keys of one administrator's secret the API accepts now, read with as few calls as can be.

What belongs here: one look. It asks for payloads (90,000 a minute) each time, and for metadata (600 a minute) only when the
newest version is another one than before. How often to look is `api/admin_access.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError
from convergence_orchestration.gcp.secret_versions import SecretVersions, Version
from convergence_orchestration.gcp.secrets import Secrets, SecretVersion
from convergence_orchestration.keys.admin import AdminKey, key_in
from convergence_orchestration.keys.admins.elsewhere import refuse_shared
from convergence_orchestration.keys.admins.model import (
    ROTATIONS_ANNOTATION,
    Counting,
    counting,
    rotations_in,
)
from convergence_orchestration.logs import logger
from convergence_orchestration.settings import Environment

LISTED_SECONDS = 60.0
"""While the newest version is disabled, metadata is read at most this often."""

_GONE = frozenset({ErrorCode.NOT_FOUND, ErrorCode.FAILED_PRECONDITION})
_log = logger(__name__)


@dataclass(frozen=True)
class Place:
    """Where a look looks.

    Attributes:
        overlap: how long the key before counts where no rotation says it.
    """

    secrets: Secrets
    environment: Environment
    overlap: timedelta


@dataclass(frozen=True)
class Accepted:
    """The keys of one secret, as of the last look.

    Attributes:
        newest: number of the newest version, whatever its state; None if it is disabled or there is none.
        current: the newest key.
        previous: the one before, which counts until `overlap_ends`.
        listed_at: when the versions were last listed.
    """

    newest: int | None = None
    current: AdminKey | None = None
    previous: AdminKey | None = None
    overlap_ends: datetime | None = None
    listed_at: datetime | None = None

    def accepts(self, candidate: str, now: datetime) -> bool:
        """`candidate` is one of the keys that count at `now`."""
        if self.current is not None and self.current.accepts(candidate):
            return True
        is_counting = self.overlap_ends is not None and now < self.overlap_ends
        return self.previous is not None and is_counting and self.previous.accepts(candidate)


NOTHING = Accepted()


def look(place: Place, secret_id: str, known: Accepted, now: datetime) -> Accepted:
    """What is accepted from now on; `known` is what the look before found. No key that is unfit is ever in it.

    Raises:
        ConvergenceError: Secret Manager does not answer, or may not be asked for payloads.
    """
    latest = _payload(place, secret_id, "latest")
    if latest is not None and _number(latest) == known.newest:
        return replace(known, previous=_still_there(place, secret_id, known.previous))
    if latest is None and _is_listed_lately(known, now):
        current = _still_there(place, secret_id, known.current)
        return replace(known, current=current, previous=_still_there(place, secret_id, known.previous))
    return _read_anew(place, secret_id, latest, now)


def _read_anew(place: Place, secret_id: str, latest: SecretVersion | None, now: datetime) -> Accepted:
    newest = _number(latest) if latest is not None else None
    try:
        count = _counting(place, secret_id)
    except PermanentError as error:
        if error.code is not ErrorCode.PERMISSION_DENIED or latest is None:
            raise
        _log.warning(
            "Versions cannot be listed, so only the newest administrators' key counts", reason=error.message
        )
        return Accepted(newest=newest, current=_fit(place, latest), listed_at=now)
    return Accepted(
        newest=newest,
        current=_key(place, secret_id, count.current, latest),
        previous=_key(place, secret_id, count.previous if _is_open(count, now) else None, latest),
        overlap_ends=count.overlap_ends,
        listed_at=now,
    )


def _is_open(count: Counting, now: datetime) -> bool:
    return count.overlap_ends is not None and now < count.overlap_ends


def _is_listed_lately(known: Accepted, now: datetime) -> bool:
    if known.newest is not None or known.listed_at is None:
        return False
    return (now - known.listed_at).total_seconds() < LISTED_SECONDS


def _counting(place: Place, secret_id: str) -> Counting:
    metadata = SecretVersions(place.secrets)
    try:
        versions: Sequence[Version] = metadata.versions(secret_id)
    except PermanentError as error:
        if error.code is not ErrorCode.NOT_FOUND:
            raise
        return Counting()
    secret = metadata.secret(secret_id)
    annotation = secret.annotations.get(ROTATIONS_ANNOTATION) if secret else None
    return counting(versions, rotations_in(annotation), place.overlap)


def _key(
    place: Place, secret_id: str, version: Version | None, latest: SecretVersion | None
) -> AdminKey | None:
    if version is None:
        return None
    if latest is not None and _number(latest) == version.number:
        return _fit(place, latest)
    found = _payload(place, secret_id, str(version.number))
    return _fit(place, found) if found else None


def _fit(place: Place, version: SecretVersion) -> AdminKey | None:
    """The version's key; None, and a line in the log, if it cannot be one of this environment."""
    key = key_in(version.payload)
    try:
        made = AdminKey(key, version.name, place.environment)
        refuse_shared(place.secrets, place.environment, key, is_patient=True)
    except PermanentError as error:
        _log.error("An administrators' key is not accepted", version=version.name, reason=error.message)
        return None
    return made


def _still_there(place: Place, secret_id: str, key: AdminKey | None) -> AdminKey | None:
    """The key, unless its version has been disabled: an access costs no metadata."""
    if key is None:
        return None
    number = key.source.rpartition("/")[2]
    return key if _payload(place, secret_id, number) is not None else None


def _payload(place: Place, secret_id: str, version: str) -> SecretVersion | None:
    try:
        return place.secrets.access(secret_id, version)
    except ConvergenceError as error:
        if error.code not in _GONE:
            raise
        return None


def _number(version: SecretVersion) -> int:
    return int(version.name.rpartition("/")[2])
