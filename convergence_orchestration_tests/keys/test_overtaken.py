"""Two tries of one key at the same moment, as two processes make them that got the same Idempotency-Key."""

from collections.abc import Callable
from itertools import count

import pytest
from google.cloud import bigquery as google

from convergence_orchestration.errors import TransientError
from convergence_orchestration.gcp.bigquery import BigQuery, Parameters
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys.delivery import Delivery, deliver
from convergence_orchestration.keys.issuing import issue
from convergence_orchestration.keys.model import KeyEventKind, KeyId
from convergence_orchestration.keys.sealing import Place, seal
from convergence_orchestration.keys.slot_store import Claim
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.keys.token import generate_tenant_key, hash_of
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.keys.builders import AUDIT, DEVELOPMENT, at, new_key, seconds

_A_SECOND_COPY = """
INSERT INTO tenants.sealed_keys (key_id, tenant_id, environment, ciphertext, sealed_at, repeatable)
VALUES (@key_id, @tenant_id, @environment, @ciphertext, @sealed_at, FALSE)
"""


def over(bigquery: BigQuery, secrets: Secrets) -> KeyStores:
    return KeyStores.over(bigquery, secrets, DEVELOPMENT, AUDIT)


class Overtaken(BigQuery):
    """Somebody else is quick right before this process writes into the ledger."""

    def __init__(self, client: google.Client, meanwhile: Callable[[], object], times: int = 1) -> None:
        super().__init__(client)
        self._meanwhile = meanwhile
        self._left = times

    def execute(self, sql: str, params: Parameters = ()) -> int:
        if sql.startswith("-- Write events") and self._left:
            self._left -= 1
            self._meanwhile()
        return super().execute(sql, params)


def test_a_try_that_another_try_of_the_same_key_overtook_issues_no_second_key(
    project: Settings, stores: KeyStores, secrets: Secrets, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    def another_process_hands_it_over() -> None:
        issue(stores, kms, new_key(key_id, tenant_id), at(1))
        deliver(stores, kms, Delivery(key_id, "somebody"), seconds(2))

    late = over(Overtaken(bigquery_client(project), another_process_hands_it_over), secrets)
    record = issue(late, kms, new_key(key_id, tenant_id), at(0))

    assert record == stores.ledger.get(key_id)
    events = [each for each in stores.ledger.all() if each.key_id == key_id]
    assert sorted(each.kind for each in events) == [KeyEventKind.DELIVERED, KeyEventKind.ISSUED]
    assert stores.copies.store.get(key_id) is None


def test_a_try_that_is_always_overtaken_gives_up_for_the_time_being(
    project: Settings, stores: KeyStores, secrets: Secrets, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    instants = count(1)

    def another_process_claims_the_place() -> None:
        standing = stores.slots.standing(tenant_id)
        assert standing is not None
        assert stores.slots.claim(standing.slots[0], Claim(tenant_id, key_id, seconds(next(instants))))

    slow = over(Overtaken(bigquery_client(project), another_process_claims_the_place, 9), secrets)
    with pytest.raises(TransientError, match="is being issued elsewhere"):
        issue(slow, kms, new_key(key_id, tenant_id), at(0))
    assert stores.ledger.get(key_id) is None
    assert issue(stores, kms, new_key(key_id, tenant_id), at(60)).key_id == key_id


def test_of_two_copies_that_were_stored_side_by_side_the_issued_key_is_handed_over(
    bigquery: BigQuery, stores: KeyStores, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    issued = issue(stores, kms, new_key(key_id, tenant_id), at(5))
    place, under = Place(tenant_id, key_id, DEVELOPMENT), stores.copies.shredder.get(key_id)
    other = seal(kms, under, generate_tenant_key(DEVELOPMENT), place)
    values: Parameters = [
        google.ScalarQueryParameter("key_id", "STRING", key_id),
        google.ScalarQueryParameter("tenant_id", "STRING", tenant_id),
        google.ScalarQueryParameter("environment", "STRING", str(DEVELOPMENT)),
        google.ScalarQueryParameter("ciphertext", "BYTES", other.ciphertext),  # type: ignore[arg-type]
        google.ScalarQueryParameter("sealed_at", "TIMESTAMP", seconds(0)),
    ]
    bigquery.execute(_A_SECOND_COPY, values)

    delivered = deliver(stores, kms, Delivery(key_id, "somebody"), seconds(6))

    assert hash_of(delivered.api_key.get_secret_value()) == issued.key_hash
    assert stores.copies.store.of_key(key_id) == []
