"""Rotating an administrator's key, and retiring the versions that it replaced.

What belongs here: the steps, each of which can be the last before a crash. First the rotation is written beside the secret,
under the secret's etag, so that of two at once one gives way; then the version is made; a repetition of the same run finds
either and goes on.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.secret_versions import SecretVersions, Version
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys.admins.model import (
    ROTATIONS_ANNOTATION,
    UNNAMED,
    Retirement,
    Rotation,
    counting,
    retirement,
    rotation_of,
    rotations_in,
    secret_id_of,
    with_rotation,
)
from convergence_orchestration.keys.token import generate_admin_key
from convergence_orchestration.settings import Settings

_UNDER_WAY = timedelta(minutes=10)
"""A rotation that was begun by another run and made no version is waited for so long, then taken over."""


@dataclass(frozen=True)
class Rotated:
    """A rotation that was done: the new version's number, and until when the key before it counts (UTC).

    Attributes:
        is_new: this call made the version; False if a call before it had.
        retired: what was done to older versions.
    """

    number: int
    is_new: bool
    overlap_ends: datetime
    retired: Retirement


@dataclass(frozen=True)
class Rotating:
    """One rotation that is wanted.

    Attributes:
        run: the same for all repetitions of it, which together make one version.
        name: whose key.
        overlap: how long the key before counts; zero disables it at once.
    """

    run: str
    name: str
    overlap: timedelta


def rotate(settings: Settings, secrets: Secrets, wanted: Rotating, now: datetime) -> Rotated:
    """Make a new key the newest version of the administrator's secret. It is shown by `convergence admin-key reveal`.

    Raises:
        PermanentError: INVALID_ARGUMENT, NOT_FOUND if there is no such administrator, REQUEST_IN_PROGRESS if another
            rotation was begun a moment ago.
        TransientError: another rotation began at the same moment.
    """
    secret_id = secret_id_of(settings.environment, wanted.name)
    metadata = SecretVersions(secrets)
    rotation = _begun(metadata, secret_id, wanted, now)
    newest = _newest(metadata.versions(secret_id))
    is_new = newest == rotation.after
    if is_new:
        key = generate_admin_key(settings.environment)
        made = secrets.add_version(secret_id, key.get_secret_value().encode())
        newest = int(made.rpartition("/")[2])
    retired = retire(settings, secrets, wanted.name, now)
    return Rotated(newest, is_new, rotation.began + rotation.overlap, retired)


def retire(settings: Settings, secrets: Secrets, name: str, now: datetime) -> Retirement:
    """Disable the versions whose overlap is over, and destroy those that have been disabled for a week: which ones."""
    secret_id = secret_id_of(settings.environment, name)
    metadata = SecretVersions(secrets)
    versions = metadata.versions(secret_id)
    rotations = _rotations(metadata, secret_id)
    due = retirement(
        versions,
        counting(versions, rotations, timedelta(hours=settings.admin_key_overlap_hours)),
        now,
    )
    for number in due.disable:
        metadata.disable(secret_id, number)
    for number in due.destroy:
        metadata.destroy(secret_id, number)
    return due


def _begun(metadata: SecretVersions, secret_id: str, wanted: Rotating, now: datetime) -> Rotation:
    """The rotation of this run, as it was written down by it or by an earlier try."""
    secret = metadata.secret(secret_id)
    if secret is None:
        raise PermanentError(ErrorCode.NOT_FOUND, _how_to_begin(wanted.name), {"secret": secret_id})
    rotations = rotations_in(secret.annotations.get(ROTATIONS_ANNOTATION))
    for rotation in rotations:
        if rotation.run == wanted.run:
            return rotation
    newest = _newest(metadata.versions(secret_id))
    _refuse_if_under_way(rotations, newest, secret_id, now)
    rotation = rotation_of(wanted.run, newest, wanted.overlap, now)
    if not metadata.annotate(secret, ROTATIONS_ANNOTATION, with_rotation(rotations, rotation)):
        raise TransientError(
            ErrorCode.UNAVAILABLE, f"Try again: secret {secret_id} was changed by somebody else meanwhile."
        )
    return rotation


def _refuse_if_under_way(rotations: tuple[Rotation, ...], newest: int, secret_id: str, now: datetime) -> None:
    if not rotations or rotations[-1].after != newest or now - rotations[-1].began >= _UNDER_WAY:
        return
    raise PermanentError(
        ErrorCode.REQUEST_IN_PROGRESS,
        f"Wait for the rotation of {secret_id} that run {rotations[-1].run} has begun; ten minutes after its beginning "
        "another may take over.",
        {"secret": secret_id, "run": rotations[-1].run},
    )


def _rotations(metadata: SecretVersions, secret_id: str) -> tuple[Rotation, ...]:
    secret = metadata.secret(secret_id)
    return rotations_in(secret.annotations.get(ROTATIONS_ANNOTATION)) if secret else ()


def _newest(versions: list[Version]) -> int:
    return max((each.number for each in versions), default=0)


def _how_to_begin(name: str) -> str:
    if name == UNNAMED:
        return "Prepare the environment first with the job `prepare_environment`: it has no administrators' key yet."
    return f"Add the administrator first with `convergence admin-key add {name}`: there is no {name}."
