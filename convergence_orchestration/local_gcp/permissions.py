"""Which permission each method needs, and which permissions each role holds.

What belongs here: two tables, of what the local cloud serves. A method that is not in the first is the owner's alone; a role
that is not in the second grants nothing.
"""

from collections.abc import Mapping
from typing import Final

_KMS: Final = "google.cloud.kms.v1.KeyManagementService"
_SECRETS: Final = "google.cloud.secretmanager.v1.SecretManagerService"
KMS_POLICIES: Final = "google.iam.v1.IAMPolicy"
_PROJECTS: Final = "google.cloud.resourcemanager.v3.Projects"

# method -> permission, and the request's field (a path) that names the resource it is needed on
NEEDED: Final[Mapping[str, tuple[str, str]]] = {
    f"{_KMS}/GetKeyRing": ("cloudkms.keyRings.get", "name"),
    f"{_KMS}/CreateCryptoKey": ("cloudkms.cryptoKeys.create", "parent"),
    f"{_KMS}/GetCryptoKey": ("cloudkms.cryptoKeys.get", "name"),
    f"{_KMS}/ListCryptoKeys": ("cloudkms.cryptoKeys.list", "parent"),
    f"{_KMS}/UpdateCryptoKey": ("cloudkms.cryptoKeys.update", "crypto_key.name"),
    f"{_KMS}/UpdateCryptoKeyPrimaryVersion": ("cloudkms.cryptoKeys.update", "name"),
    f"{_KMS}/CreateCryptoKeyVersion": ("cloudkms.cryptoKeyVersions.create", "parent"),
    f"{_KMS}/GetCryptoKeyVersion": ("cloudkms.cryptoKeyVersions.get", "name"),
    f"{_KMS}/ListCryptoKeyVersions": ("cloudkms.cryptoKeyVersions.list", "parent"),
    f"{_KMS}/UpdateCryptoKeyVersion": ("cloudkms.cryptoKeyVersions.update", "crypto_key_version.name"),
    f"{_KMS}/DestroyCryptoKeyVersion": ("cloudkms.cryptoKeyVersions.destroy", "name"),
    f"{_KMS}/RestoreCryptoKeyVersion": ("cloudkms.cryptoKeyVersions.restore", "name"),
    f"{_KMS}/Encrypt": ("cloudkms.cryptoKeyVersions.useToEncrypt", "name"),
    f"{_KMS}/Decrypt": ("cloudkms.cryptoKeyVersions.useToDecrypt", "name"),
    f"{KMS_POLICIES}/GetIamPolicy": ("cloudkms.cryptoKeys.getIamPolicy", "resource"),
    f"{KMS_POLICIES}/SetIamPolicy": ("cloudkms.cryptoKeys.setIamPolicy", "resource"),
    f"{_SECRETS}/GetSecret": ("secretmanager.secrets.get", "name"),
    f"{_SECRETS}/UpdateSecret": ("secretmanager.secrets.update", "secret.name"),
    f"{_SECRETS}/DeleteSecret": ("secretmanager.secrets.delete", "name"),
    f"{_SECRETS}/AddSecretVersion": ("secretmanager.versions.add", "parent"),
    f"{_SECRETS}/GetSecretVersion": ("secretmanager.versions.get", "name"),
    f"{_SECRETS}/ListSecretVersions": ("secretmanager.versions.list", "parent"),
    f"{_SECRETS}/AccessSecretVersion": ("secretmanager.versions.access", "name"),
    f"{_SECRETS}/EnableSecretVersion": ("secretmanager.versions.enable", "name"),
    f"{_SECRETS}/DisableSecretVersion": ("secretmanager.versions.disable", "name"),
    f"{_SECRETS}/DestroySecretVersion": ("secretmanager.versions.destroy", "name"),
    f"{_PROJECTS}/GetIamPolicy": ("resourcemanager.projects.getIamPolicy", "resource"),
    f"{_PROJECTS}/SetIamPolicy": ("resourcemanager.projects.setIamPolicy", "resource"),
    f"{_SECRETS}/GetIamPolicy": ("secretmanager.secrets.getIamPolicy", "resource"),
    f"{_SECRETS}/SetIamPolicy": ("secretmanager.secrets.setIamPolicy", "resource"),
}

# anybody may ask which permissions they have: the answer is the refusal
OPEN: Final = frozenset(f"{each}/TestIamPermissions" for each in (KMS_POLICIES, _PROJECTS, _SECRETS))

_ENCRYPT: Final = "cloudkms.cryptoKeyVersions.useToEncrypt"
_DECRYPT: Final = "cloudkms.cryptoKeyVersions.useToDecrypt"
_ALL_OF_KMS: Final = frozenset(
    permission
    for permission, _ in NEEDED.values()
    if permission.startswith("cloudkms.") and permission not in {_ENCRYPT, _DECRYPT}
)
_ALL_OF_SECRETS: Final = frozenset(
    permission for permission, _ in NEEDED.values() if permission.startswith("secretmanager.")
)

_OF_PROJECTS: Final = frozenset(
    permission for permission, _ in NEEDED.values() if permission.startswith("resourcemanager.")
)
# BigQuery itself is another process here, which knows no callers: these are only told to whoever asks
_OF_WAREHOUSE: Final = frozenset(
    {
        "bigquery.datasets.create",
        "bigquery.jobs.create",
        "bigquery.tables.create",
        "bigquery.tables.updateData",
    }
)

# role -> permissions, as Google's predefined roles hold them
HELD: Final[Mapping[str, frozenset[str]]] = {
    "roles/owner": _ALL_OF_KMS | _ALL_OF_SECRETS | _OF_PROJECTS | _OF_WAREHOUSE | {_ENCRYPT, _DECRYPT},
    "roles/bigquery.admin": _OF_WAREHOUSE,
    "roles/bigquery.jobUser": frozenset({"bigquery.jobs.create"}),
    "roles/cloudkms.admin": _ALL_OF_KMS,
    "roles/cloudkms.viewer": frozenset(
        permission for permission in _ALL_OF_KMS if permission.endswith((".get", ".list"))
    ),
    "roles/cloudkms.cryptoKeyEncrypter": frozenset({_ENCRYPT}),
    "roles/cloudkms.cryptoKeyDecrypter": frozenset({_DECRYPT}),
    "roles/cloudkms.cryptoKeyEncrypterDecrypter": frozenset({_ENCRYPT, _DECRYPT}),
    "roles/secretmanager.admin": _ALL_OF_SECRETS,
    "roles/secretmanager.secretAccessor": frozenset({"secretmanager.versions.access"}),
    "roles/secretmanager.secretVersionAdder": frozenset({"secretmanager.versions.add"}),
    "roles/secretmanager.viewer": frozenset(
        {
            "secretmanager.secrets.get",
            "secretmanager.secrets.getIamPolicy",
            "secretmanager.versions.get",
            "secretmanager.versions.list",
        }
    ),
}
