from concurrent.futures import ThreadPoolExecutor

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.delivery import Delivered, deliver
from convergence_orchestration.keys.issuing import issue
from convergence_orchestration.keys.ledger import KeyEvents
from convergence_orchestration.keys.model import KeyEventKind, KeyId, new_key_id
from convergence_orchestration.keys.revoking import Revocation, revoke
from convergence_orchestration.keys.sealed_store import SealedKey, SealedKeys
from convergence_orchestration.keys.sealing import seal
from convergence_orchestration.keys.token import generate_tenant_key, hash_of, is_well_formed
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.keys.builders import AUDIT, DEVELOPMENT, T0, new_key, seconds
from convergence_orchestration_tests.tenancy.dying import DyingBigQuery, KilledError


@pytest.fixture
def issued_id(bigquery: BigQuery, kms: Kms, tenant_id: TenantId, key_id: KeyId) -> KeyId:
    """A key that was issued and not yet delivered, and ends after 100 s."""
    return issue(bigquery, kms, new_key(key_id, tenant_id, expires=100), T0, audit=AUDIT).key_id


def delivered(bigquery: BigQuery, kms: Kms, key_id: KeyId, at: float = 5) -> Delivered:
    return deliver(
        bigquery, kms, key_id, actor="somebody", now=seconds(at), request_id="request", audit=AUDIT
    )


def refusal(bigquery: BigQuery, kms: Kms, key_id: KeyId, at: float = 5) -> ErrorCode:
    with pytest.raises(PermanentError) as raised:
        delivered(bigquery, kms, key_id, at)
    return raised.value.code


def test_the_key_is_handed_over_and_its_copy_wiped(bigquery: BigQuery, kms: Kms, issued_id: KeyId) -> None:
    handed = delivered(bigquery, kms, issued_id)
    key = handed.api_key.get_secret_value()
    assert is_well_formed(key, DEVELOPMENT)
    assert handed.record.key_hash == hash_of(key)
    assert handed.record.delivered_at == seconds(5)
    assert KeyEvents(bigquery).get(issued_id) == handed.record
    assert SealedKeys(bigquery).get(issued_id) is None
    assert key not in repr(handed)


def test_a_key_is_handed_over_once(bigquery: BigQuery, kms: Kms, issued_id: KeyId) -> None:
    delivered(bigquery, kms, issued_id)
    assert refusal(bigquery, kms, issued_id) is ErrorCode.KEY_ALREADY_DELIVERED


def test_of_two_callers_at_once_one_gets_the_key(bigquery: BigQuery, kms: Kms, issued_id: KeyId) -> None:
    def attempt(at: float) -> str | ErrorCode:
        try:
            return delivered(bigquery, kms, issued_id, at).api_key.get_secret_value()
        except PermanentError as error:
            return error.code

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(attempt, (1, 2)))
    assert outcomes.count(ErrorCode.KEY_ALREADY_DELIVERED) == 1


@pytest.mark.parametrize("writes", [1, 2], ids=["the event", "the wiping"])
def test_killed_before_the_copy_is_wiped_it_can_be_fetched_again_and_never_after(
    project: Settings, bigquery: BigQuery, kms: Kms, issued_id: KeyId, writes: int
) -> None:
    with pytest.raises(KilledError):
        delivered(DyingBigQuery(bigquery_client(project), writes), kms, issued_id)
    if writes == 1:
        assert delivered(bigquery, kms, issued_id).record.delivered_at == seconds(5)
    assert refusal(bigquery, kms, issued_id) is ErrorCode.KEY_ALREADY_DELIVERED
    events = [event for event in KeyEvents(bigquery).all() if event.key_id == issued_id]
    assert [event.kind for event in events].count(KeyEventKind.DELIVERED) == 1


def test_an_unknown_key_is_not_found(bigquery: BigQuery, kms: Kms, key_id: KeyId) -> None:
    assert refusal(bigquery, kms, key_id) is ErrorCode.KEY_NOT_FOUND


def test_an_expired_or_revoked_key_is_not_handed_over(bigquery: BigQuery, kms: Kms, issued_id: KeyId) -> None:
    assert refusal(bigquery, kms, issued_id, at=100) is ErrorCode.FAILED_PRECONDITION
    revoke(bigquery, Revocation(issued_id, "somebody"), seconds(1), audit=AUDIT)
    assert refusal(bigquery, kms, issued_id) is ErrorCode.FAILED_PRECONDITION


def test_a_copy_sealed_for_another_key_does_not_open_and_stays(
    bigquery: BigQuery, kms: Kms, tenant_id: TenantId, issued_id: KeyId
) -> None:
    own = SealedKeys(bigquery).get(issued_id)
    assert own is not None
    ciphertext = seal(kms, generate_tenant_key(DEVELOPMENT), tenant_id, new_key_id(), DEVELOPMENT).ciphertext
    replace_copy(bigquery, own, ciphertext)
    assert refusal(bigquery, kms, issued_id) is ErrorCode.INVALID_ARGUMENT
    assert SealedKeys(bigquery).get(issued_id) is not None


def test_a_copy_that_is_not_the_issued_key_is_not_handed_over(
    bigquery: BigQuery, kms: Kms, tenant_id: TenantId, issued_id: KeyId
) -> None:
    own = SealedKeys(bigquery).get(issued_id)
    assert own is not None
    other = generate_tenant_key(DEVELOPMENT)
    replace_copy(bigquery, own, seal(kms, other, tenant_id, issued_id, DEVELOPMENT).ciphertext)
    with pytest.raises(TransientError) as raised:
        delivered(bigquery, kms, issued_id)
    assert raised.value.code is ErrorCode.DATA_CORRUPTED
    assert other.get_secret_value() not in str(raised.value)
    assert SealedKeys(bigquery).get(issued_id) is not None


def replace_copy(bigquery: BigQuery, own: SealedKey, ciphertext: bytes) -> None:
    SealedKeys(bigquery).wipe(own.key_id)
    SealedKeys(bigquery).insert(
        SealedKey(own.key_id, own.tenant_id, own.environment, ciphertext, own.sealed_at)
    )
