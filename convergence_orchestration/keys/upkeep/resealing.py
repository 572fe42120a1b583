"""Sealing anew what an older version of KMS' key sealed, so that the old version can be destroyed.

What belongs here: the decision which copies, and the pass over them. The key in a copy is not seen: only its outer layer
is renewed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.copies import SealedCopies, place_of
from convergence_orchestration.keys.model import KeyId
from convergence_orchestration.keys.sealed_store import CopyFacts
from convergence_orchestration.keys.sealing import resealed

_PROBE = b"which version is primary"


@dataclass(frozen=True)
class Resealed:
    """What a pass did: the primary version, keys sealed anew, and keys that could not be, each with its error."""

    primary: str
    renewed: tuple[KeyId, ...]
    failed: dict[KeyId, ConvergenceError]


def outdated(copies: Iterable[CopyFacts], primary: str) -> list[KeyId]:
    """The copies that another version than `primary` sealed."""
    return [copy.key_id for copy in copies if copy.kms_key_version != primary]


def reseal(copies: SealedCopies, kms: Kms) -> Resealed:
    """Seal every outdated copy anew; one that cannot be does not hold up the others.

    Errors are those of BigQuery and KMS, as far as they concern all copies.
    """
    primary = kms.encrypt_with_version(_PROBE, _PROBE).key_version  # needs no right to look at the key
    renewed: list[KeyId] = []
    failed: dict[KeyId, ConvergenceError] = {}
    for key_id in outdated(copies.store.all(), primary):
        try:
            if _renew(copies, kms, key_id):
                renewed.append(key_id)
        except ConvergenceError as error:
            failed[key_id] = error
    return Resealed(primary, tuple(renewed), failed)


def _renew(copies: SealedCopies, kms: Kms, key_id: KeyId) -> bool:
    copy = copies.store.get(key_id)
    if copy is None:
        return False
    renewed = resealed(kms, copy.ciphertext, place_of(copy))
    return copies.store.reseal(copy, renewed.ciphertext, renewed.key_version)
