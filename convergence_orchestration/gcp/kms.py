"""Cloud KMS: one symmetric key that encrypts and decrypts small secrets, with every integrity check Google offers.

What belongs here: the calls and their checks. What the additional authenticated data (AAD) says is the business of
whoever seals (`keys/sealing.py`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import google_crc32c
from google.api_core.exceptions import AlreadyExists, NotFound
from google.cloud import kms_v1

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.deadlines import ATTEMPT_SECONDS, TOTAL_SECONDS, each_attempt, repeatable
from convergence_orchestration.gcp.grants import project_grant
from convergence_orchestration.gcp.policies import Policies
from convergence_orchestration.gcp.translate import Service, translated

ROTATION_PERIOD: Final = timedelta(days=90)
"""A new primary version this often; what older versions sealed stays readable."""

_PROBE: Final = b"convergence probe"


@dataclass(frozen=True)
class Encrypted:
    """A ciphertext and the full name of the key version that made it."""

    ciphertext: bytes
    key_version: str


@dataclass(frozen=True)
class KeyFacts:
    """What a crypto key is like, in Google's words.

    Attributes:
        rotation: how often it gets a new primary version; None if never.
        next_rotation: when it gets the next one, UTC; None if never.
    """

    purpose: str
    primary_state: str
    rotation: timedelta | None
    next_rotation: datetime | None = None


class Kms:
    """One crypto key, named `projects/P/locations/L/keyRings/R/cryptoKeys/K`.

    Every method raises the errors of `translate.py`; the commands in them name `service_account`. A call is given up
    after `deadline_seconds`, whatever it tried; an attempt has a third of them, ten seconds at most.
    """

    def __init__(
        self,
        client: kms_v1.KeyManagementServiceClient,
        crypto_key_name: str,
        service_account: str = "SERVICE_ACCOUNT",
        deadline_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self.client = client
        self._retry = repeatable(deadline_seconds)
        self._timeout = each_attempt(min(ATTEMPT_SECONDS, deadline_seconds / 3))
        self.crypto_key_name = crypto_key_name
        self.key_ring_name, _, self._key_id = crypto_key_name.partition("/cryptoKeys/")
        parts = crypto_key_name.split("/")
        project, self.location, ring = parts[1], parts[3], parts[5]
        self._service = Service("Cloud KMS", str(client.transport.host), project)
        self.policies = Policies(client, self._service)
        self._administering = partial(
            translated,
            service=self._service,
            grant=project_grant(project, "roles/cloudkms.admin"),
        )
        self._using = partial(
            translated,
            service=self._service,
            grant=f"gcloud kms keys add-iam-policy-binding {self._key_id} --project={project} "
            f"--location={self.location} --keyring={ring} "
            f'--member="serviceAccount:{service_account}" --role="roles/cloudkms.cryptoKeyEncrypterDecrypter"',
        )

    def ensure_key_ring(self) -> bool:
        """Make sure the key ring exists: True if this call made it. A key ring can never be deleted."""
        with self._administering(f"making sure of key ring {self.key_ring_name}"):
            try:
                self.client.get_key_ring(name=self.key_ring_name, retry=self._retry, timeout=self._timeout)
            except NotFound:
                return self._create_key_ring()
        return False

    def ensure_crypto_key(self, now: datetime | None = None, rotation: timedelta = ROTATION_PERIOD) -> bool:
        """Make sure the key exists and encrypts: True if this call made it, with this rotation period.

        Args:
            now: the next rotation is `rotation` after this; the present by default.
            rotation: of a key that is made; one that is there keeps its own.

        Raises:
            PermanentError: FAILED_PRECONDITION if a key of that name is there that cannot encrypt.
        """
        found = self.find_crypto_key()
        if found is None:
            with self._administering(f"making key {self.crypto_key_name}"):
                return self._create_crypto_key(now or datetime.now(UTC), rotation)
        self._check_it_encrypts(found)
        return False

    def find_crypto_key(self) -> KeyFacts | None:
        """What the key is like; None if it is not there."""
        with self._administering(f"looking at key {self.crypto_key_name}"):
            try:
                found = self.client.get_crypto_key(
                    name=self.crypto_key_name, retry=self._retry, timeout=self._timeout
                )
            except NotFound:
                return None
        rotation = found.rotation_period if "rotation_period" in found else None
        following = found.next_rotation_time if "next_rotation_time" in found else None
        return KeyFacts(
            found.purpose.name,
            found.primary.state.name,
            rotation,
            following.astimezone(UTC) if following is not None else None,
        )

    def set_rotation(self, rotation: timedelta, now: datetime) -> None:
        """Give the key a new primary version every `rotation` from now on, the first one `rotation` after `now`."""
        key = kms_v1.CryptoKey(
            name=self.crypto_key_name, rotation_period=rotation, next_rotation_time=now + rotation
        )
        with self._administering(f"setting the rotation of key {self.crypto_key_name}"):
            self.client.update_crypto_key(
                crypto_key=key,
                update_mask={"paths": ["rotation_period", "next_rotation_time"]},
                retry=self._retry,
                timeout=self._timeout,
            )

    def encrypt(self, plaintext: bytes, aad: bytes) -> bytes:
        """The ciphertext of at most 64 KiB, bound to `aad`: see `encrypt_with_version`."""
        return self.encrypt_with_version(plaintext, aad).ciphertext

    def encrypt_with_version(self, plaintext: bytes, aad: bytes) -> Encrypted:
        """The ciphertext of at most 64 KiB, bound to `aad`, and which version of the key made it.

        Raises:
            TransientError: DATA_CORRUPTED if anything was damaged on the way there or back.
        """
        request = kms_v1.EncryptRequest(
            name=self.crypto_key_name,
            plaintext=plaintext,
            additional_authenticated_data=aad,
            plaintext_crc32c=_crc32c(plaintext),
            additional_authenticated_data_crc32c=_crc32c(aad),
        )
        with self._using("encrypting"):
            answer = self.client.encrypt(request=request, retry=self._retry, timeout=self._timeout)
        intact = (
            answer.verified_plaintext_crc32c
            and answer.verified_additional_authenticated_data_crc32c
            and answer.ciphertext_crc32c == _crc32c(answer.ciphertext)
            and _is_version_of(self.crypto_key_name, answer.name)
        )
        if not intact:
            raise _damaged("encrypting")
        return Encrypted(ciphertext=answer.ciphertext, key_version=answer.name)

    def decrypt(self, ciphertext: bytes, aad: bytes) -> bytes:
        """The plaintext of what `encrypt` made with the same `aad`.

        Raises:
            PermanentError: INVALID_ARGUMENT if the ciphertext was changed or belongs to another AAD or key.
            TransientError: DATA_CORRUPTED if the answer was damaged on its way.
        """
        request = kms_v1.DecryptRequest(
            name=self.crypto_key_name,
            ciphertext=ciphertext,
            additional_authenticated_data=aad,
            ciphertext_crc32c=_crc32c(ciphertext),
            additional_authenticated_data_crc32c=_crc32c(aad),
        )
        with self._using("decrypting"):
            answer = self.client.decrypt(request=request, retry=self._retry, timeout=self._timeout)
        if answer.plaintext_crc32c != _crc32c(answer.plaintext):
            raise _damaged("decrypting")
        return bytes(answer.plaintext)

    def works(self) -> bool:
        """Whether a probe survives encryption and decryption; an error of either is raised."""
        return self.decrypt(self.encrypt(_PROBE, _PROBE), _PROBE) == _PROBE

    def console_url(self) -> str:
        """Where a person sees the key in Google's console."""
        project, ring = self._service.project, self.key_ring_name.rpartition("/")[2]
        return (
            f"https://console.cloud.google.com/security/kms/key/manage/{self.location}/{ring}/{self._key_id}"
            f"?project={project}"
        )

    def _create_key_ring(self) -> bool:
        parent, _, key_ring_id = self.key_ring_name.partition("/keyRings/")
        try:
            self.client.create_key_ring(
                parent=parent,
                key_ring_id=key_ring_id,
                key_ring=kms_v1.KeyRing(),
                retry=self._retry,
                timeout=self._timeout,
            )
        except AlreadyExists:  # somebody was quicker, or our first request arrived and its answer did not
            return False
        return True

    def _create_crypto_key(self, now: datetime, rotation: timedelta) -> bool:
        key = kms_v1.CryptoKey(
            purpose=kms_v1.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT,
            rotation_period=rotation,
            next_rotation_time=now + rotation,
        )
        try:
            self.client.create_crypto_key(
                parent=self.key_ring_name,
                crypto_key_id=self._key_id,
                crypto_key=key,
                retry=self._retry,
                timeout=self._timeout,
            )
        except AlreadyExists:
            return False
        return True

    def _check_it_encrypts(self, key: KeyFacts) -> None:
        if (key.purpose, key.primary_state) == ("ENCRYPT_DECRYPT", "ENABLED"):
            return
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Give key {self.crypto_key_name} the purpose ENCRYPT_DECRYPT and an enabled primary version, "
            f"or name another key with KMS_KEY: it has purpose {key.purpose} "
            f"and its primary version is {key.primary_state}.",
        )


def _is_version_of(crypto_key_name: str, name: str) -> bool:
    parent, _, number = name.partition("/cryptoKeyVersions/")
    return parent == crypto_key_name and number.isdecimal()


def _crc32c(content: bytes) -> int:
    return int(google_crc32c.value(content))


def _damaged(doing: str) -> TransientError:
    return TransientError(
        ErrorCode.DATA_CORRUPTED,
        f"Try again: Cloud KMS's answer was damaged on its way or belongs to another key ({doing}).",
        retry_after=1.0,
    )
