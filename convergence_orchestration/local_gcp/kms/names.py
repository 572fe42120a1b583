"""Names of Cloud KMS's resources.

What belongs here: their form and their parts.
"""

from convergence_orchestration.local_gcp.fields import name_pattern

ID = r"[a-zA-Z0-9_-]{1,63}"
_PARTS = {"key_ring": ID, "key": ID, "number": r"[1-9][0-9]{0,8}"}
_KEY_RING = "projects/{project}/locations/{location}/keyRings/{key_ring}"

LOCATION = name_pattern("projects/{project}/locations/{location}")
KEY_RING = name_pattern(_KEY_RING, **_PARTS)
CRYPTO_KEY = name_pattern(_KEY_RING + "/cryptoKeys/{key}", **_PARTS)
VERSION = name_pattern(_KEY_RING + "/cryptoKeys/{key}/cryptoKeyVersions/{number}", **_PARTS)


def version_name(key_name: str, number: int) -> str:
    """The name of a key's version."""
    return f"{key_name}/cryptoKeyVersions/{number}"


def version_number(name: str) -> int:
    """The number at the end of a version's name."""
    return int(name.rsplit("/", 1)[1])


def key_of_version(name: str) -> str:
    """The name of the key that a version belongs to."""
    return name.rsplit("/", 2)[0]
