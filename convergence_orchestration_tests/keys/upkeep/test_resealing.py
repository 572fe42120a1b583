from dataclasses import replace

from google.cloud import kms_v1

from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.delivery import Delivery, deliver
from convergence_orchestration.keys.issuing import issue
from convergence_orchestration.keys.model import KeyId, new_key_id
from convergence_orchestration.keys.sealed_store import CopyFacts
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.keys.token import hash_of
from convergence_orchestration.keys.upkeep.resealing import outdated, reseal
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.keys.builders import ACME, DEVELOPMENT, T0, at, key_id, new_key, seconds


def test_copies_sealed_by_another_version_are_outdated() -> None:
    new = CopyFacts(key_id(), ACME, DEVELOPMENT, T0, "version 2")
    old, unknown = (
        replace(new, key_id=key_id(2), kms_key_version="version 1"),
        replace(new, kms_key_version=None),
    )
    assert outdated([new, old, unknown], "version 2") == [key_id(2), key_id()]


def rotated_kms(kms: Kms) -> str:
    """Give the key another primary version, as its rotation does."""
    made = kms.client.create_crypto_key_version(
        parent=kms.crypto_key_name, crypto_key_version=kms_v1.CryptoKeyVersion()
    )
    kms.client.update_crypto_key_primary_version(
        name=kms.crypto_key_name, crypto_key_version_id=made.name.rpartition("/")[2]
    )
    return str(made.name)


def test_after_a_rotation_of_the_kms_key_waiting_copies_are_sealed_anew_and_still_open(
    stores: KeyStores, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    record = issue(stores, kms, new_key(key_id, tenant_id), at(0))
    damaged = new_key_id()
    own = stores.copies.store.get(key_id)
    assert own is not None
    stores.copies.store.insert(replace(own, key_id=damaged))
    primary = rotated_kms(kms)

    done = reseal(stores.copies, kms)

    copy = stores.copies.store.get(key_id)
    assert copy is not None
    assert (done.primary, copy.kms_key_version, copy.sealed_at) == (primary, primary, own.sealed_at)
    assert key_id in done.renewed
    assert done.failed[damaged].code is ErrorCode.INVALID_ARGUMENT
    assert key_id not in reseal(stores.copies, kms).renewed
    handed = deliver(stores, kms, Delivery(key_id, "somebody"), seconds(1))
    assert hash_of(handed.api_key.get_secret_value()) == record.key_hash
    stores.copies.wipe(damaged)
