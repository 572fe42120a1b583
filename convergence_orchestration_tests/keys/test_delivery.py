from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys.delivery import Delivered, Delivery, deliver
from convergence_orchestration.keys.issuing import issue
from convergence_orchestration.keys.model import KeyEventKind, KeyId, new_key_id
from convergence_orchestration.keys.revoking import Revocation, revoke
from convergence_orchestration.keys.sealed_store import SealedKey
from convergence_orchestration.keys.sealing import Place, seal
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.keys.token import generate_tenant_key, hash_of, is_well_formed
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults
from convergence_orchestration_tests.keys.builders import AUDIT, DEVELOPMENT, at, new_key, seconds
from convergence_orchestration_tests.tenancy.dying import DyingBigQuery, KilledError


@pytest.fixture
def issued_id(stores: KeyStores, kms: Kms, tenant_id: TenantId, key_id: KeyId) -> KeyId:
    """A key that was issued and not yet delivered, and ends after 100 s."""
    return issue(stores, kms, new_key(key_id, tenant_id, expires=100), at(0)).key_id


@pytest.fixture
def repeatable_id(stores: KeyStores, kms: Kms, tenant_id: TenantId, key_id: KeyId) -> KeyId:
    """A key that was asked for with an Idempotency-Key."""
    return issue(stores, kms, replace(new_key(key_id, tenant_id), is_repeatable=True), at(0)).key_id


def delivered(
    stores: KeyStores, kms: Kms, key_id: KeyId, at: float = 5, *, is_its_request: bool = False
) -> Delivered:
    return deliver(stores, kms, Delivery(key_id, "somebody", "request", is_its_request), seconds(at))


def refusal(
    stores: KeyStores, kms: Kms, key_id: KeyId, at: float = 5, *, is_its_request: bool = False
) -> ErrorCode:
    with pytest.raises(PermanentError) as raised:
        delivered(stores, kms, key_id, at, is_its_request=is_its_request)
    return raised.value.code


def test_the_key_is_handed_over_and_its_copy_wiped(stores: KeyStores, kms: Kms, issued_id: KeyId) -> None:
    handed = delivered(stores, kms, issued_id)
    key = handed.api_key.get_secret_value()
    assert is_well_formed(key, DEVELOPMENT)
    assert handed.record.key_hash == hash_of(key)
    assert handed.record.delivered_at == seconds(5)
    assert stores.ledger.get(issued_id) == handed.record
    assert stores.copies.store.get(issued_id) is None
    assert key not in repr(handed)


def test_a_key_is_handed_over_once(stores: KeyStores, kms: Kms, issued_id: KeyId) -> None:
    delivered(stores, kms, issued_id)
    assert refusal(stores, kms, issued_id) is ErrorCode.KEY_ALREADY_DELIVERED


def test_of_two_callers_at_once_one_gets_the_key(stores: KeyStores, kms: Kms, issued_id: KeyId) -> None:
    def attempt(at: float) -> str | ErrorCode:
        try:
            return delivered(stores, kms, issued_id, at).api_key.get_secret_value()
        except PermanentError as error:
            return error.code

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(attempt, (1, 2)))
    assert outcomes.count(ErrorCode.KEY_ALREADY_DELIVERED) == 1


@pytest.mark.parametrize("writes", [1, 2], ids=["the event", "the wiping"])
def test_killed_before_the_copy_is_wiped_it_can_be_fetched_again_and_never_after(
    project: Settings, stores: KeyStores, secrets: Secrets, kms: Kms, issued_id: KeyId, writes: int
) -> None:
    dying = KeyStores.over(DyingBigQuery(bigquery_client(project), writes), secrets, DEVELOPMENT, AUDIT)
    with pytest.raises(KilledError):
        delivered(dying, kms, issued_id)
    if writes == 1:
        assert delivered(stores, kms, issued_id, at=6).record.delivered_at == seconds(5)
    assert refusal(stores, kms, issued_id) is ErrorCode.KEY_ALREADY_DELIVERED
    events = [event for event in stores.ledger.all() if event.key_id == issued_id]
    assert [event.kind for event in events].count(KeyEventKind.DELIVERED) == 1


def test_its_idempotency_key_gets_a_key_again_for_ten_minutes_and_then_never(
    stores: KeyStores, kms: Kms, repeatable_id: KeyId
) -> None:
    first = delivered(stores, kms, repeatable_id, at=5, is_its_request=True)
    again = delivered(stores, kms, repeatable_id, at=604, is_its_request=True)
    assert again == first
    assert refusal(stores, kms, repeatable_id, at=605, is_its_request=True) is ErrorCode.KEY_ALREADY_DELIVERED
    assert refusal(stores, kms, repeatable_id, at=6) is ErrorCode.KEY_ALREADY_DELIVERED, "by reveal"
    assert stores.copies.store.get(repeatable_id) is not None, "until the sweep"


def test_what_is_revealed_is_wiped_whatever_it_was_asked_for_with(
    stores: KeyStores, kms: Kms, repeatable_id: KeyId
) -> None:
    delivered(stores, kms, repeatable_id)
    assert refusal(stores, kms, repeatable_id, is_its_request=True) is ErrorCode.KEY_ALREADY_DELIVERED


def test_a_wiped_copy_that_is_put_back_cannot_be_opened_though_kms_still_works(
    stores: KeyStores, kms: Kms, issued_id: KeyId
) -> None:
    saved = stores.copies.store.get(issued_id)
    assert saved is not None
    delivered(stores, kms, issued_id)
    stores.copies.store.insert(saved)  # as time travel would show it
    assert refusal(stores, kms, issued_id) is ErrorCode.KEY_ALREADY_DELIVERED
    with pytest.raises(PermanentError):
        stores.copies.open(kms, saved)
    assert kms.works()


def test_the_caller_gets_the_key_though_its_bytes_could_not_be_shredded(
    stores: KeyStores, kms: Kms, issued_id: KeyId, local_gcp: Emulator
) -> None:
    with faults(local_gcp, {"method": "*/DeleteSecret", "code": "PERMISSION_DENIED"}):
        assert delivered(stores, kms, issued_id).api_key
    assert stores.copies.store.get(issued_id) is None


def test_a_damaged_answer_of_kms_delivers_nothing_and_loses_nothing(
    stores: KeyStores, kms: Kms, issued_id: KeyId, local_gcp: Emulator
) -> None:
    damage = {"method": "*/Decrypt", "corrupt": "plaintext"}
    with faults(local_gcp, damage), pytest.raises(TransientError) as raised:
        delivered(stores, kms, issued_id)
    assert raised.value.code is ErrorCode.DATA_CORRUPTED
    record = stores.ledger.get(issued_id)
    assert record is not None
    assert record.delivered_at is None
    assert delivered(stores, kms, issued_id).api_key


def test_an_unknown_key_is_not_found(stores: KeyStores, kms: Kms, key_id: KeyId) -> None:
    assert refusal(stores, kms, key_id) is ErrorCode.KEY_NOT_FOUND


def test_an_expired_or_revoked_key_is_not_handed_over(stores: KeyStores, kms: Kms, issued_id: KeyId) -> None:
    assert refusal(stores, kms, issued_id, at=100) is ErrorCode.FAILED_PRECONDITION
    revoke(stores, Revocation(issued_id, "somebody"), seconds(1))
    assert refusal(stores, kms, issued_id) is ErrorCode.FAILED_PRECONDITION


def test_a_copy_sealed_for_another_key_does_not_open_and_stays(
    stores: KeyStores, kms: Kms, tenant_id: TenantId, issued_id: KeyId
) -> None:
    own = stores.copies.store.get(issued_id)
    assert own is not None
    elsewhere = Place(tenant_id, new_key_id(), DEVELOPMENT)
    under = stores.copies.shredder.get(issued_id)
    replace_copy(stores, own, seal(kms, under, generate_tenant_key(DEVELOPMENT), elsewhere).ciphertext)
    assert refusal(stores, kms, issued_id) is ErrorCode.INVALID_ARGUMENT
    assert stores.copies.store.get(issued_id) is not None


def test_a_copy_that_is_not_the_issued_key_is_not_handed_over(
    stores: KeyStores, kms: Kms, tenant_id: TenantId, issued_id: KeyId
) -> None:
    own = stores.copies.store.get(issued_id)
    assert own is not None
    other = generate_tenant_key(DEVELOPMENT)
    under = stores.copies.shredder.get(issued_id)
    here = Place(tenant_id, issued_id, DEVELOPMENT)
    replace_copy(stores, own, seal(kms, under, other, here).ciphertext)
    with pytest.raises(TransientError) as raised:
        delivered(stores, kms, issued_id)
    assert raised.value.code is ErrorCode.DATA_CORRUPTED
    assert other.get_secret_value() not in str(raised.value)
    assert stores.copies.store.get(issued_id) is not None


def replace_copy(stores: KeyStores, own: SealedKey, ciphertext: bytes) -> None:
    stores.copies.store.wipe(own.key_id)
    stores.copies.store.insert(
        SealedKey(own.key_id, own.tenant_id, own.environment, ciphertext, own.sealed_at)
    )
