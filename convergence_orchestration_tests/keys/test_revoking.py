import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.issuing import issue
from convergence_orchestration.keys.model import KeyEventKind, KeyId, KeyRecord, new_key_id
from convergence_orchestration.keys.revoking import Revocation, revoke, revoke_all
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.keys.token import generate_tenant_key
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.keys.builders import DEVELOPMENT, at, new_key, seconds


@pytest.fixture
def record(stores: KeyStores, kms: Kms, tenant_id: TenantId, key_id: KeyId) -> KeyRecord:
    return issue(stores, kms, new_key(key_id, tenant_id), at(0))


@pytest.mark.parametrize("by", ["key_id", "key_hash"])
def test_a_key_is_revoked_by_its_id_or_its_hash_and_its_copy_wiped(
    stores: KeyStores, record: KeyRecord, by: str
) -> None:
    revoked = revoke(stores, Revocation(getattr(record, by), "somebody", reason="laptop lost"), seconds(1))
    assert revoked.revoked_at == seconds(1)
    assert stores.ledger.get(record.key_id) == revoked
    assert stores.copies.store.get(record.key_id) is None


def test_a_revoked_key_stays_revoked_as_it_was(stores: KeyStores, record: KeyRecord) -> None:
    revoke(stores, Revocation(record.key_id, "somebody", reason="laptop lost"), seconds(1))
    assert revoke(stores, Revocation(record.key_id, "another"), seconds(9)).revoked_at == seconds(1)
    events = [event for event in stores.ledger.all() if event.key_id == record.key_id]
    (revocation,) = [event for event in events if event.kind is KeyEventKind.REVOKED]
    assert (revocation.actor, revocation.description) == ("somebody", "laptop lost")


@pytest.mark.parametrize("key", ["key_" + "0" * 20, "0" * 64])
def test_a_key_that_was_never_issued_is_not_found(stores: KeyStores, key: str) -> None:
    with pytest.raises(PermanentError) as raised:
        revoke(stores, Revocation(key, "somebody"), seconds(1))
    assert raised.value.code is ErrorCode.KEY_NOT_FOUND


def test_a_key_in_clear_is_refused_and_not_repeated(stores: KeyStores) -> None:
    key = generate_tenant_key(DEVELOPMENT).get_secret_value()
    with pytest.raises(PermanentError, match="never by the key itself") as raised:
        revoke(stores, Revocation(key, "somebody"), seconds(1))
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT
    assert key not in f"{raised.value} {raised.value.details}"


def test_all_keys_of_a_tenant_are_revoked_and_all_its_copies_shredded(
    stores: KeyStores, record: KeyRecord
) -> None:
    unissued = new_key_id()
    stores.copies.shredder.make(record.tenant_id, unissued)
    saved = stores.copies.store.get(record.key_id)
    assert saved is not None
    for _ in range(2):
        revoked = revoke_all(
            stores,
            record.tenant_id,
            actor="somebody",
            reason="it leaves",
            request_id=None,
            run_id=None,
            now=seconds(1),
        )
        found = stores.ledger.get(record.key_id)
        assert found is not None
        assert found.revoked_at == seconds(1)
        assert revoked in ([record.key_id], [])
    assert stores.copies.shredder.of_tenant(record.tenant_id) == []
    assert stores.copies.store.get(record.key_id) is None
    with pytest.raises(PermanentError):
        stores.copies.shredder.get(record.key_id)
