"""The KMS key ring and key that the platform seals with: made where this service account may, used where not.

In staging and production the guide has people make both and grants the service account encryption alone. Such an
account may not even look whether the key exists; that it encrypts is proof enough.
"""

from collections.abc import Callable
from dataclasses import dataclass

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.warehouse.bootstrap import Action


@dataclass(frozen=True)
class Prepared:
    """What was done, and what a person should know about it."""

    action: Action
    note: str


def prepare_key_ring(kms: Kms) -> Prepared:
    """Make sure the key ring exists.

    Raises:
        PermanentError: PERMISSION_DENIED if this service account may neither look nor encrypt.
    """
    return _prepared(kms, kms.ensure_key_ring)


def prepare_key(kms: Kms) -> Prepared:
    """Make sure the key exists and encrypts.

    Raises:
        PermanentError: as `Kms.ensure_crypto_key`; PERMISSION_DENIED if this service account may not encrypt.
    """
    prepared = _prepared(kms, kms.ensure_crypto_key)
    kms.works()
    return prepared


def _prepared(kms: Kms, ensure: Callable[[], bool]) -> Prepared:
    try:
        created = ensure()
    except PermanentError as error:
        if error.code is not ErrorCode.PERMISSION_DENIED or not _works(kms):
            raise
        return Prepared(
            Action.EXISTED,
            "This service account may not look at it; it is there, for the key in it encrypts.",
        )
    return Prepared(Action.CREATED if created else Action.EXISTED, "It is as it should be.")


def _works(kms: Kms) -> bool:
    try:
        return kms.works()
    except PermanentError:
        return False
