"""A key sealed twice, so that what is stored can be read by nobody without KMS and is bound to its place.

What belongs here: which bytes are sealed and what they are bound to (the AAD). The inner layer makes the copy
shreddable, see `shredding.py`; KMS is the outer one. Storing copies is `sealed_store.py`.
"""

from dataclasses import dataclass

from pydantic import SecretStr

from convergence_orchestration.gcp.kms import Encrypted, Kms
from convergence_orchestration.keys.model import KeyId
from convergence_orchestration.keys.shredding import decrypted, encrypted
from convergence_orchestration.settings import Environment
from convergence_orchestration.tenancy.model import TenantId


@dataclass(frozen=True)
class Place:
    """What a copy is bound to."""

    tenant_id: TenantId
    key_id: KeyId
    environment: Environment

    @property
    def aad(self) -> bytes:
        """The additional authenticated data: `tenant|key_id|environment`; none of the three can contain a bar."""
        return f"{self.tenant_id}|{self.key_id}|{self.environment}".encode()


def seal(kms: Kms, under: bytes, api_key: SecretStr, place: Place) -> Encrypted:
    """The key under its own 32 bytes and then under KMS, and which version of KMS' key that was.

    Errors are those of `Kms.encrypt_with_version`.
    """
    inner = encrypted(under, api_key.get_secret_value().encode(), place.aad)
    return kms.encrypt_with_version(inner, place.aad)


def unseal(kms: Kms, under: bytes, ciphertext: bytes, place: Place) -> SecretStr:
    """The key that `seal` was given.

    Raises:
        PermanentError: INVALID_ARGUMENT if the ciphertext is of another tenant, key or environment, or was changed.
        TransientError: as `Kms.decrypt` says.
    """
    inner = kms.decrypt(ciphertext, place.aad)
    return SecretStr(decrypted(under, inner, place.aad).decode())


def resealed(kms: Kms, ciphertext: bytes, place: Place) -> Encrypted:
    """The same copy under the present primary version of KMS' key; the key itself is not seen. Errors as above."""
    return kms.encrypt_with_version(kms.decrypt(ciphertext, place.aad), place.aad)
