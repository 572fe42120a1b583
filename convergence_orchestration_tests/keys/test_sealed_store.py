from dataclasses import replace

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.keys.model import KeyId
from convergence_orchestration.keys.sealed_store import CopyFacts, SealedKey, SealedKeys
from convergence_orchestration_tests.keys.builders import ACME, DEVELOPMENT, T0


def test_the_first_copy_stays_until_it_is_wiped_once(bigquery: BigQuery, key_id: KeyId) -> None:
    store = SealedKeys(bigquery)
    first = SealedKey(key_id, ACME, DEVELOPMENT, b"\x00sealed\xff", T0, "version 1")
    assert store.get(key_id) is None
    assert store.insert(first) is True
    assert store.insert(replace(first, ciphertext=b"another", kms_key_version=None)) is False
    assert store.get(key_id) == first
    assert [store.wipe(key_id), store.wipe(key_id)] == [True, False]
    assert store.get(key_id) is None


def test_a_copy_may_lack_the_version_that_sealed_it(bigquery: BigQuery, key_id: KeyId) -> None:
    store = SealedKeys(bigquery)
    store.insert(SealedKey(key_id, ACME, DEVELOPMENT, b"sealed", T0))
    found = store.get(key_id)
    assert found is not None
    assert found.kms_key_version is None


def test_all_copies_are_listed_without_their_ciphertext(bigquery: BigQuery, key_id: KeyId) -> None:
    store = SealedKeys(bigquery)
    store.insert(SealedKey(key_id, ACME, DEVELOPMENT, b"sealed", T0, "version 1", is_repeatable=True))
    (found,) = (copy for copy in store.all() if copy.key_id == key_id)
    assert found == CopyFacts(key_id, ACME, DEVELOPMENT, T0, "version 1", is_repeatable=True)


def test_a_copy_is_sealed_anew_only_if_it_is_as_it_was_read(bigquery: BigQuery, key_id: KeyId) -> None:
    store = SealedKeys(bigquery)
    first = SealedKey(key_id, ACME, DEVELOPMENT, b"sealed", T0, "version 1")
    store.insert(first)
    assert store.reseal(first, b"anew", "version 2") is True
    assert store.reseal(first, b"later", "version 3") is False
    assert store.get(key_id) == replace(first, ciphertext=b"anew", kms_key_version="version 2")
