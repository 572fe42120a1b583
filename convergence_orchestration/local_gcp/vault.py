"""What is secret, encrypted before it reaches the database.

What belongs here: the key file (`local-gcp.key`, mode 0600) and AES-256-GCM under it, bound to the resource's name. Losing
the file loses every secret of the data directory, so a directory that holds secrets but no key file is refused.
"""

import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from convergence_orchestration.errors import ErrorCode, PermanentError

_KEY_BYTES = 32
_NONCE_BYTES = 12


class Vault:
    """Encrypts and decrypts small values under one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, name: str, payload: bytes) -> bytes:
        """The payload encrypted so that it opens under this resource name only."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, payload, name.encode())

    def open(self, name: str, sealed: bytes) -> bytes:
        """The payload that was sealed for this resource name.

        Raises:
            PermanentError: DATA_CORRUPTED, the key file or the row is not the one that belongs here.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        except InvalidTag:
            message = "Restore the data directory's key file: what is stored does not open with this one."
            raise PermanentError(ErrorCode.DATA_CORRUPTED, message, {"resource": name}) from None


def key_from_file(path: Path, *, may_create: bool) -> bytes:
    """The key in this file, made when there is none and `may_create`.

    Raises:
        PermanentError: DATA_CORRUPTED, the file is missing though it must not be, or is no key.
    """
    if not path.exists() and may_create:
        _create(path)
    try:
        key = path.read_bytes()
    except OSError:
        key = b""
    if len(key) != _KEY_BYTES:
        message = f"Restore {path.name} or remove the data directory: its secrets cannot be read without that key file."
        raise PermanentError(ErrorCode.DATA_CORRUPTED, message)
    return key


def _create(path: Path) -> None:
    # Written beside and renamed: a kill between the two leaves no half key behind.
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.urandom(_KEY_BYTES))
        file.flush()
        os.fsync(descriptor)
    unfinished.rename(path)
