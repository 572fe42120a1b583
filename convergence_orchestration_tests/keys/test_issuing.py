from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery, Parameters
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.keys.issuing import issue
from convergence_orchestration.keys.ledger import KeyEvents
from convergence_orchestration.keys.model import KeyEventKind, KeyId, KeyRecord, new_key_id
from convergence_orchestration.keys.revoking import Revocation, revoke
from convergence_orchestration.keys.sealed_store import SealedKeys
from convergence_orchestration.keys.sealing import unseal
from convergence_orchestration.keys.token import hash_of, is_well_formed
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId, TenantState
from convergence_orchestration_tests.keys.builders import AUDIT, DEVELOPMENT, new_key, seconds
from convergence_orchestration_tests.tenancy.dying import DyingBigQuery, KilledError


def stored_key(bigquery: BigQuery, kms: Kms, record: KeyRecord) -> str:
    sealed = SealedKeys(bigquery).get(record.key_id)
    assert sealed is not None
    return unseal(kms, sealed.ciphertext, record.tenant_id, record.key_id, DEVELOPMENT).get_secret_value()


def test_a_key_is_stored_sealed_and_recorded_by_its_hash(
    bigquery: BigQuery, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    record = issue(bigquery, kms, new_key(key_id, tenant_id, expires=100), seconds(0), audit=AUDIT)

    key = stored_key(bigquery, kms, record)
    assert is_well_formed(key, DEVELOPMENT)
    assert record.key_hash == hash_of(key)
    assert KeyEvents(bigquery).get(key_id) == record
    (event,) = [event for event in KeyEvents(bigquery).all() if event.key_id == key_id]
    assert (event.kind, event.run_id, event.request_id) == (KeyEventKind.ISSUED, "run", "request")
    sealed = SealedKeys(bigquery).get(key_id)
    assert sealed is not None
    assert event.kms_key_version == sealed.kms_key_version
    assert key not in str(list(bigquery.client.list_rows("tenants.api_key_events")))
    assert key.encode() not in sealed.ciphertext


def test_the_same_key_id_again_is_the_same_key(
    bigquery: BigQuery, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    asked = new_key(key_id, tenant_id)
    assert issue(bigquery, kms, asked, seconds(0), audit=AUDIT) == issue(
        bigquery, kms, asked, seconds(60), audit=AUDIT
    )


@pytest.mark.parametrize("writes", [1, 2], ids=["the sealed copy", "the event"])
def test_killed_behind_any_write_the_next_try_issues_the_key_that_is_sealed(
    project: Settings, bigquery: BigQuery, kms: Kms, tenant_id: TenantId, key_id: KeyId, writes: int
) -> None:
    with pytest.raises(KilledError):
        issue(
            DyingBigQuery(bigquery_client(project), writes),
            kms,
            new_key(key_id, tenant_id),
            seconds(0),
            audit=AUDIT,
        )
    record = issue(bigquery, kms, new_key(key_id, tenant_id), seconds(60), audit=AUDIT)
    assert record.key_hash == hash_of(stored_key(bigquery, kms, record))
    assert [each.key_id for each in KeyEvents(bigquery).active_for(tenant_id, seconds(60))] == [key_id]


def test_two_at_once_with_one_key_id_issue_one_key(
    bigquery: BigQuery, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    asked = new_key(key_id, tenant_id)
    with ThreadPoolExecutor(2) as pool:
        hashes = {
            record.key_hash
            for record in pool.map(lambda at: issue(bigquery, kms, asked, seconds(at), audit=AUDIT), (0, 1))
        }
    record = KeyEvents(bigquery).get(key_id)
    assert record is not None
    assert hashes == {record.key_hash} == {hash_of(stored_key(bigquery, kms, record))}


def test_a_second_key_is_refused_while_the_first_is_active(
    bigquery: BigQuery, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    issue(bigquery, kms, new_key(key_id, tenant_id, expires=100), seconds(0), audit=AUDIT)
    second = new_key(new_key_id(), tenant_id)
    with pytest.raises(PermanentError, match=f"Revoke {key_id} first") as raised:
        issue(bigquery, kms, second, seconds(99), audit=AUDIT)
    assert (raised.value.code, raised.value.details["key_id"]) == (ErrorCode.KEY_EXISTS, key_id)
    assert SealedKeys(bigquery).get(second.key_id) is None
    assert issue(bigquery, kms, second, seconds(100), audit=AUDIT).key_id == second.key_id, (
        "the first has expired"
    )


def test_after_a_revocation_a_new_key_is_issued(
    bigquery: BigQuery, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    issue(bigquery, kms, new_key(key_id, tenant_id), seconds(0), audit=AUDIT)
    revoke(bigquery, Revocation(key_id, "somebody"), seconds(1), audit=AUDIT)
    assert (
        issue(bigquery, kms, new_key(new_key_id(), tenant_id), seconds(2), audit=AUDIT).tenant_id == tenant_id
    )


def test_a_tenant_that_is_not_there_gets_no_key(bigquery: BigQuery, kms: Kms, key_id: KeyId) -> None:
    with pytest.raises(PermanentError, match="Onboard nobody first") as raised:
        issue(bigquery, kms, new_key(key_id, TenantId("nobody")), seconds(0), audit=AUDIT)
    assert raised.value.code is ErrorCode.TENANT_NOT_FOUND
    assert SealedKeys(bigquery).get(key_id) is None


@pytest.mark.parametrize("state", [state for state in TenantState if state is not TenantState.ACTIVE])
def test_a_tenant_that_is_not_active_gets_no_key(
    bigquery: BigQuery,
    kms: Kms,
    add_tenant: Callable[[TenantState], TenantId],
    key_id: KeyId,
    state: TenantState,
) -> None:
    with pytest.raises(PermanentError, match=state) as raised:
        issue(bigquery, kms, new_key(key_id, add_tenant(state)), seconds(0), audit=AUDIT)
    assert raised.value.code is ErrorCode.TENANT_NOT_ACTIVE
    assert SealedKeys(bigquery).get(key_id) is None


def test_the_key_id_of_another_tenant_is_refused(
    bigquery: BigQuery, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    issue(bigquery, kms, new_key(key_id, tenant_id), seconds(0), audit=AUDIT)
    with pytest.raises(PermanentError, match="another tenant") as raised:
        issue(bigquery, kms, new_key(key_id, TenantId("globex")), seconds(1), audit=AUDIT)
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT


class WipedAtOnce(BigQuery):
    """Somebody revokes the key, and so wipes its copy, while it is being issued."""

    def execute(self, sql: str, params: Parameters = ()) -> int:
        assert sql.startswith("-- A key's sealed copy"), params
        return 0


def test_a_copy_that_is_wiped_while_the_key_is_issued_is_worth_another_try(
    project: Settings, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    with pytest.raises(TransientError, match="Try again"):
        issue(WipedAtOnce(bigquery_client(project)), kms, new_key(key_id, tenant_id), seconds(0), audit=AUDIT)


def test_what_is_asked_for_shows_in_the_record(
    bigquery: BigQuery, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    asked = replace(new_key(key_id, tenant_id, expires=9), description="for the importer", scopes=())
    record = issue(bigquery, kms, asked, seconds(0), audit=AUDIT)
    assert (record.description, record.scopes, record.expires_at) == ("for the importer", (), seconds(9))
