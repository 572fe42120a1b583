import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.issuing import issue
from convergence_orchestration.keys.ledger import KeyEvents
from convergence_orchestration.keys.model import KeyEventKind, KeyId, KeyRecord
from convergence_orchestration.keys.revoking import Revocation, revoke
from convergence_orchestration.keys.sealed_store import SealedKeys
from convergence_orchestration.keys.token import generate_tenant_key
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.keys.builders import AUDIT, DEVELOPMENT, T0, new_key, seconds


@pytest.fixture
def record(bigquery: BigQuery, kms: Kms, tenant_id: TenantId, key_id: KeyId) -> KeyRecord:
    return issue(bigquery, kms, new_key(key_id, tenant_id), T0, audit=AUDIT)


@pytest.mark.parametrize("by", ["key_id", "key_hash"])
def test_a_key_is_revoked_by_its_id_or_its_hash_and_its_copy_wiped(
    bigquery: BigQuery, record: KeyRecord, by: str
) -> None:
    revoked = revoke(
        bigquery, Revocation(getattr(record, by), "somebody", reason="laptop lost"), seconds(1), audit=AUDIT
    )
    assert revoked.revoked_at == seconds(1)
    assert KeyEvents(bigquery).get(record.key_id) == revoked
    assert SealedKeys(bigquery).get(record.key_id) is None


def test_a_revoked_key_stays_revoked_as_it_was(bigquery: BigQuery, record: KeyRecord) -> None:
    revoke(bigquery, Revocation(record.key_id, "somebody", reason="laptop lost"), seconds(1), audit=AUDIT)
    assert revoke(
        bigquery, Revocation(record.key_id, "another"), seconds(9), audit=AUDIT
    ).revoked_at == seconds(1)
    events = [event for event in KeyEvents(bigquery).all() if event.key_id == record.key_id]
    (revocation,) = [event for event in events if event.kind is KeyEventKind.REVOKED]
    assert (revocation.actor, revocation.description) == ("somebody", "laptop lost")


@pytest.mark.parametrize("key", ["key_" + "0" * 20, "0" * 64])
def test_a_key_that_was_never_issued_is_not_found(bigquery: BigQuery, key: str) -> None:
    with pytest.raises(PermanentError) as raised:
        revoke(bigquery, Revocation(key, "somebody"), seconds(1), audit=AUDIT)
    assert raised.value.code is ErrorCode.KEY_NOT_FOUND


def test_a_key_in_clear_is_refused_and_not_repeated(bigquery: BigQuery) -> None:
    key = generate_tenant_key(DEVELOPMENT).get_secret_value()
    with pytest.raises(PermanentError, match="never by the key itself") as raised:
        revoke(bigquery, Revocation(key, "somebody"), seconds(1), audit=AUDIT)
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT
    assert key not in f"{raised.value} {raised.value.details}"
