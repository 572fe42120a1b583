"""What a crypto key may look like.

What belongs here: checks of a key that is created or changed, and the defaults of what was left out. No rows, no time but
the one passed in.
"""

from datetime import datetime, timedelta
from typing import Any

from google.cloud.kms_v1 import CryptoKey, CryptoKeyVersion, ProtectionLevel

from convergence_orchestration.local_gcp.fields import require_labels
from convergence_orchestration.local_gcp.refusals import invalid, not_served

CHANGEABLE = frozenset(
    {"labels", "rotation_period", "next_rotation_time", "version_template", "version_template.algorithm"}
)
_SHORTEST_ROTATION = timedelta(hours=24)
_LONGEST_ROTATION = timedelta(hours=876_000)
_DESTROY_AFTER = timedelta(days=30)
_SHORTEST_DESTROY = timedelta(hours=24)
_LONGEST_DESTROY = timedelta(days=120)
_SYMMETRIC: Any = CryptoKeyVersion.CryptoKeyVersionAlgorithm.GOOGLE_SYMMETRIC_ENCRYPTION
_ALGORITHM_UNSPECIFIED = CryptoKeyVersion.CryptoKeyVersionAlgorithm.CRYPTO_KEY_VERSION_ALGORITHM_UNSPECIFIED
_SOFTWARE: Any = ProtectionLevel.SOFTWARE
_LEVELS = (ProtectionLevel.SOFTWARE, ProtectionLevel.HSM)


def new_key(asked: CryptoKey, name: str, now: datetime) -> CryptoKey:
    """The key that a creation makes: what was asked for with the defaults filled in, and no version yet.

    Raises:
        Refusal: INVALID_ARGUMENT or UNIMPLEMENTED.
    """
    if asked.purpose == CryptoKey.CryptoKeyPurpose.CRYPTO_KEY_PURPOSE_UNSPECIFIED:
        invalid("crypto_key.purpose must be specified.")
    if asked.purpose != CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT:
        not_served(f"A key of purpose {asked.purpose.name}")
    if asked.import_only or asked.crypto_key_backend:
        not_served("A key of imported or external material")
    key = CryptoKey(asked)
    key.name, key.create_time = name, now
    del key.primary
    if "destroy_scheduled_duration" not in key:
        key.destroy_scheduled_duration = _DESTROY_AFTER
    key.version_template.protection_level = key.version_template.protection_level or _SOFTWARE
    key.version_template.algorithm = key.version_template.algorithm or _SYMMETRIC
    require_valid(key)
    require_future_rotation(key, now)
    if not _SHORTEST_DESTROY <= key.destroy_scheduled_duration <= _LONGEST_DESTROY:
        invalid("destroy_scheduled_duration must be between 24 hours and 120 days.")
    return key


def require_valid(key: CryptoKey) -> None:
    """Check what holds for a new key and for a changed one.

    Raises:
        Refusal: INVALID_ARGUMENT or UNIMPLEMENTED.
    """
    require_labels(key.labels)
    if key.version_template.algorithm not in {_SYMMETRIC, _ALGORITHM_UNSPECIFIED}:
        invalid(f"Algorithm {key.version_template.algorithm.name} is not valid for purpose ENCRYPT_DECRYPT.")
    if key.version_template.protection_level not in _LEVELS:
        not_served(f"Protection level {key.version_template.protection_level.name}")
    if not has_rotation_period(key):
        return
    if not _SHORTEST_ROTATION <= key.rotation_period <= _LONGEST_ROTATION:
        invalid("rotation_period must be between 24 hours and 876,000 hours.")
    if not key.next_rotation_time:
        invalid("next_rotation_time must be set where rotation_period is.")


def require_future_rotation(key: CryptoKey, now: datetime) -> None:
    """Check the rotation time that a caller has just set.

    Raises:
        Refusal: INVALID_ARGUMENT, it has passed.
    """
    if key.next_rotation_time and key.next_rotation_time <= now:
        invalid("next_rotation_time must be in the future.")


def has_rotation_period(key: CryptoKey) -> bool:
    """Whether the service rotates the key again and again."""
    return "rotation_period" in key
