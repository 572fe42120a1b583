"""The life of a key's versions.

What belongs here: making a version, its states and what leads from one to another, rotation and destruction when their
time has come.
"""

from datetime import datetime
from typing import Any

from google.cloud.kms_v1 import CryptoKey, CryptoKeyVersion

from convergence_orchestration.local_gcp.kms import cipher, names, rules
from convergence_orchestration.local_gcp.refusals import failed_precondition, not_found
from convergence_orchestration.local_gcp.store import Due, Rows

ROTATE = "kms.rotate"
DESTROY = "kms.destroy"
State: Any = CryptoKeyVersion.CryptoKeyVersionState


def require_key(rows: Rows, name: str) -> CryptoKey:
    """The key as it is stored: its primary has only a name.

    Raises:
        Refusal: NOT_FOUND.
    """
    return rows.get(CryptoKey, name) or not_found(f"CryptoKey {name}")


def require_version(rows: Rows, name: str) -> CryptoKeyVersion:
    """The version.

    Raises:
        Refusal: NOT_FOUND.
    """
    return rows.get(CryptoKeyVersion, name) or not_found(f"CryptoKeyVersion {name}")


def require_state(version: CryptoKeyVersion, *allowed: int) -> None:
    """Check that what is asked is possible in the version's state.

    Raises:
        Refusal: FAILED_PRECONDITION.
    """
    if version.state not in allowed:
        wanted = " or ".join(State(state).name for state in allowed)
        failed_precondition(f"{version.name} is not {wanted}, current state is: {version.state.name}.")


def with_primary(rows: Rows, key: CryptoKey) -> CryptoKey:
    """The key as callers see it: with its primary version, if it has one."""
    if key.primary.name:
        key.primary = require_version(rows, key.primary.name)
    return key


def add_version(rows: Rows, key: CryptoKey, now: datetime) -> CryptoKeyVersion:
    """A new, enabled version of the key."""
    number = rows.last_ordinal(CryptoKeyVersion, key.name) + 1
    version = CryptoKeyVersion(
        name=names.version_name(key.name, number),
        state=State.ENABLED,
        protection_level=key.version_template.protection_level,
        algorithm=key.version_template.algorithm,
        create_time=now,
        generate_time=now,
    )
    rows.insert(version.name, key.name, version)
    rows.seal(version.name, cipher.new_material())
    return version


def set_primary(rows: Rows, key: CryptoKey, version: CryptoKeyVersion) -> None:
    """Encrypt with this version from now on."""
    key.primary = CryptoKeyVersion(name=version.name)
    rows.update(key.name, key)


def schedule_destruction(rows: Rows, key: CryptoKey, version: CryptoKeyVersion, now: datetime) -> None:
    """Have the version's material destroyed when the key's waiting time is over."""
    version.state = State.DESTROY_SCHEDULED
    version.destroy_time = now + key.destroy_scheduled_duration
    rows.update(version.name, version)
    rows.set_timer(version.name, DESTROY, version.destroy_time)


def restore(rows: Rows, version: CryptoKeyVersion) -> None:
    """Call the destruction off: the version is disabled then."""
    version.state = State.DISABLED
    del version.destroy_time
    rows.update(version.name, version)
    rows.set_timer(version.name, DESTROY, None)


def destroy(rows: Rows, due: Due) -> None:
    """Destroy the version's material: its waiting time is over."""
    version = require_version(rows, due.name)
    version.state = State.DESTROYED
    version.destroy_event_time = due.at
    del version.destroy_time
    rows.update(version.name, version)
    rows.erase(version.name)


def rotate(rows: Rows, due: Due) -> None:
    """Make a new primary version, and set the time of the next rotation where there is to be one."""
    key = require_key(rows, due.name)
    key.next_rotation_time = due.at + key.rotation_period if rules.has_rotation_period(key) else None
    set_primary(rows, key, add_version(rows, key, due.at))
    rows.set_timer(key.name, ROTATE, key.next_rotation_time)
