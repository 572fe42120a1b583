"""The sealed copies of keys as one thing: the row in BigQuery, its layer by KMS, and the bytes that open it.

What belongs here: in which order the three are made and go, so that a crash anywhere leaves a copy that can be opened, or
none. Bytes come before the row and go behind it; bytes whose row is gone are found by the sweep.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import SecretStr

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.model import KeyId
from convergence_orchestration.keys.sealed_store import SealedKey, SealedKeys
from convergence_orchestration.keys.sealing import Place, seal, unseal
from convergence_orchestration.keys.shredding import Shredder
from convergence_orchestration.keys.token import generate_tenant_key, hash_of
from convergence_orchestration.logs import logger
from convergence_orchestration.tenancy.model import TenantId

KEPT_FOR = timedelta(days=7)
"""How long a copy waits for its key to be issued."""

_REUSED_FOR = KEPT_FOR - timedelta(
    hours=1
)  # a key is issued within minutes: before its copy is swept as never issued
_log = logger(__name__)


@dataclass(frozen=True)
class Sealed:
    """The copy that is stored: the SHA-256 of its key in hexadecimal, and the version of KMS' key that sealed it."""

    key_hash: str
    kms_key_version: str | None


class SealedCopies:
    """The copies of one environment. Errors are those of BigQuery, KMS and Secret Manager."""

    def __init__(self, store: SealedKeys, shredder: Shredder) -> None:
        self.store = store
        self.shredder = shredder

    def ensure(self, kms: Kms, place: Place, now: datetime, *, is_repeatable: bool) -> Sealed:
        """A fresh key's copy, or the one that is stored for this place already.

        Raises:
            PermanentError: IDEMPOTENCY_KEY_REUSED if the key id has a copy for another tenant.
            TransientError: UNAVAILABLE if the copy was wiped meanwhile, or is about to be: the next try makes another.
        """
        under = self.shredder.make(place.tenant_id, place.key_id)
        api_key = generate_tenant_key(place.environment)
        outer = seal(kms, under, api_key, place)
        copy = SealedKey(
            key_id=place.key_id,
            tenant_id=place.tenant_id,
            environment=place.environment,
            ciphertext=outer.ciphertext,
            sealed_at=now,
            kms_key_version=outer.key_version,
            is_repeatable=is_repeatable,
        )
        if self.store.insert(copy):
            return Sealed(hash_of(api_key.get_secret_value()), outer.key_version)
        return self._stored(kms, place, now)

    def open(self, kms: Kms, copy: SealedKey) -> SecretStr:
        """The key in a copy.

        Raises:
            PermanentError: KEY_ALREADY_DELIVERED if its bytes are shredded, INVALID_ARGUMENT if it is not what was sealed.
        """
        return unseal(kms, self.shredder.get(copy.key_id), copy.ciphertext, place_of(copy))

    def wipe(self, *key_ids: KeyId) -> None:
        """Wipe the copies for good; repeated, it finishes what was begun."""
        self.store.wipe(*key_ids)
        self.shredder.shred(key_ids)

    def wipe_for_its_caller(self, key_id: KeyId) -> bool:
        """Wipe the copy; True for the one caller whose statement deleted it, who must get the key now whatever fails."""
        if not self.store.wipe(key_id):
            return False
        try:
            self.shredder.shred([key_id])
        except ConvergenceError as error:
            _log.warning("A sealed copy's bytes stay until the sweep", key_id=key_id, reason=error.message)
        return True

    def wipe_tenant(self, tenant_id: TenantId) -> None:
        """Wipe every copy of the tenant for good, also those of keys never issued."""
        self.store.wipe_tenant(tenant_id)
        self.shredder.shred(self.shredder.of_tenant(tenant_id))

    def _stored(self, kms: Kms, place: Place, now: datetime) -> Sealed:
        stored = self.store.get(place.key_id)
        if stored is None:
            raise _wiped_meanwhile(place.key_id)
        if stored.tenant_id != place.tenant_id:
            raise reused(place.key_id)
        if stored.sealed_at + _REUSED_FOR <= now:
            self.wipe(place.key_id)
            raise _wiped_meanwhile(place.key_id)
        try:
            opened = self.open(kms, stored)
        except PermanentError as error:
            if error.code not in {ErrorCode.KEY_ALREADY_DELIVERED, ErrorCode.INVALID_ARGUMENT}:
                raise
            self.wipe(place.key_id)  # nobody can open it, and its key was not issued
            raise _wiped_meanwhile(place.key_id) from error
        return Sealed(hash_of(opened.get_secret_value()), stored.kms_key_version)


def place_of(copy: SealedKey) -> Place:
    """What the copy is bound to."""
    return Place(copy.tenant_id, copy.key_id, copy.environment)


def reused(key_id: KeyId) -> PermanentError:
    """What to say when a key id, or the Idempotency-Key that it comes from, was used for something else."""
    return PermanentError(
        ErrorCode.IDEMPOTENCY_KEY_REUSED,
        "Send another Idempotency-Key, or none: this one was sent before and asked for something else.",
        {"key_id": key_id},
    )


def _wiped_meanwhile(key_id: KeyId) -> TransientError:
    return TransientError(
        ErrorCode.UNAVAILABLE, f"Try again: the sealed copy of {key_id} was wiped while it was being issued."
    )
