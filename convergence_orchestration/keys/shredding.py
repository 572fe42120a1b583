"""The bytes without which a sealed copy cannot be opened: one secret for each copy, deleted with it.

BigQuery shows a deleted row for seven days more (time travel) and KMS would open it: so what KMS seals is encrypted under
32 random bytes that are in Secret Manager alone, and deleting those is what makes a wiped copy unreadable for good.
What belongs here: that secret and what is encrypted under it. Where copies are kept is `copies.py`.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys.model import KeyId
from convergence_orchestration.settings import Environment
from convergence_orchestration.tenancy.model import TenantId

_FIRST = "1"
_TENANT_LABEL = "tenant"
_KEY_BYTES = 32
_NONCE_BYTES = 12


@dataclass(frozen=True)
class Shreddable:
    """A secret that there is for a key's copy; `created_at` is UTC."""

    key_id: KeyId
    tenant_id: TenantId
    created_at: datetime


class Shredder:
    """The secrets of one environment's sealed copies. Errors are those of `gcp.secrets`."""

    def __init__(self, secrets: Secrets, environment: Environment) -> None:
        self._secrets = secrets
        self._prefix = f"sealed-key-{environment.short}-"

    def make(self, tenant_id: TenantId, key_id: KeyId) -> bytes:
        """The key's bytes, made by this call or by whoever was first."""
        secret_id = self._prefix + key_id
        labels = {_TENANT_LABEL: tenant_id, "managed_by": "convergence-orchestration"}
        if not self._secrets.ensure_secret(secret_id, labels) and (found := self._first(key_id)):
            return found
        # two that add at once both read the first version, and so seal under the same bytes
        self._secrets.add_version(secret_id, os.urandom(_KEY_BYTES))
        return self._secrets.access(secret_id, _FIRST).payload

    def get(self, key_id: KeyId) -> bytes:
        """The key's bytes.

        Raises:
            PermanentError: KEY_ALREADY_DELIVERED if they were shredded: nothing opens that copy any more.
        """
        found = self._first(key_id)
        if found is None:
            raise shredded(key_id)
        return found

    def shred(self, key_ids: Iterable[KeyId]) -> None:
        """Delete the bytes of these keys; what is deleted already stays so."""
        for key_id in key_ids:
            self._secrets.delete_secret(self._prefix + key_id)

    def of_tenant(self, tenant_id: TenantId) -> list[KeyId]:
        """The tenant's keys for whose copies there are bytes."""
        return [each.key_id for each in self._listed({_TENANT_LABEL: tenant_id})]

    def all(self) -> list[Shreddable]:
        """Every secret of a copy in this environment."""
        return self._listed({})

    def _listed(self, labels: Mapping[str, str]) -> list[Shreddable]:
        return [
            Shreddable(
                KeyId(secret.secret_id.removeprefix(self._prefix)),
                TenantId(secret.labels.get(_TENANT_LABEL, "")),
                secret.created_at,
            )
            for secret in self._secrets.list_secrets(self._prefix, labels)
        ]

    def _first(self, key_id: KeyId) -> bytes | None:
        try:
            return self._secrets.access(self._prefix + key_id, _FIRST).payload
        except ConvergenceError as error:
            if error.code is ErrorCode.NOT_FOUND:
                return None
            raise


def encrypted(under: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """The plaintext by AES-256-GCM under 32 bytes: nonce, ciphertext, tag."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(under).encrypt(nonce, plaintext, aad)


def decrypted(under: bytes, ciphertext: bytes, aad: bytes) -> bytes:
    """What `encrypted` was given.

    Raises:
        PermanentError: INVALID_ARGUMENT if it was encrypted under other bytes or bound to something else.
    """
    try:
        return AESGCM(under).decrypt(ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:], aad)
    except (InvalidTag, ValueError):
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT, "Revoke this key and issue another: its sealed copy cannot be opened."
        ) from None


def shredded(key_id: KeyId) -> PermanentError:
    """What to say when a copy or its bytes are gone."""
    return PermanentError(
        ErrorCode.KEY_ALREADY_DELIVERED,
        f"Revoke {key_id} and issue a new key if it is lost: a key is handed over once, and its copy is wiped.",
        {"key_id": key_id},
    )
