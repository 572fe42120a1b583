"""A key sealed by KMS, so that what is stored can be read by nobody without KMS and is bound to its place.

What belongs here: which bytes are sealed and what they are bound to (the AAD). Storing them is `sealed_store.py`.
"""

from pydantic import SecretStr

from convergence_orchestration.gcp.kms import Encrypted, Kms
from convergence_orchestration.keys.model import KeyId
from convergence_orchestration.settings import Environment
from convergence_orchestration.tenancy.model import TenantId


def seal(
    kms: Kms, api_key: SecretStr, tenant_id: TenantId, key_id: KeyId, environment: Environment
) -> Encrypted:
    """The key as KMS ciphertext, and which version sealed it. Errors are those of `Kms.encrypt_with_version`."""
    return kms.encrypt_with_version(
        api_key.get_secret_value().encode(), bound_to(tenant_id, key_id, environment)
    )


def unseal(
    kms: Kms, ciphertext: bytes, tenant_id: TenantId, key_id: KeyId, environment: Environment
) -> SecretStr:
    """The key that `seal` was given.

    Raises:
        PermanentError: INVALID_ARGUMENT if the ciphertext is of another tenant, key or environment, or was changed.
        TransientError: as `Kms.decrypt` says.
    """
    return SecretStr(kms.decrypt(ciphertext, bound_to(tenant_id, key_id, environment)).decode())


def bound_to(tenant_id: TenantId, key_id: KeyId, environment: Environment) -> bytes:
    """The additional authenticated data: `tenant|key_id|environment`; none of the three can contain a bar."""
    return f"{tenant_id}|{key_id}|{environment}".encode()
