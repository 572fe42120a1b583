from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from convergence_orchestration.audit.model import ActorKind, AuditEntry
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery, Parameters
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys.issuing import NewKey, issue
from convergence_orchestration.keys.model import KeyEventKind, KeyId, KeyRecord, new_key_id
from convergence_orchestration.keys.revoking import Revocation, revoke
from convergence_orchestration.keys.slot_store import Claim
from convergence_orchestration.keys.slots import Slot
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.keys.token import hash_of, is_well_formed
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import Plan, TenantId, TenantState
from convergence_orchestration.tenancy.registry import StateChange, Tenants
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults
from convergence_orchestration_tests.keys.builders import AUDIT, DEVELOPMENT, at, new_key, seconds
from convergence_orchestration_tests.keys.conftest import AddTenant
from convergence_orchestration_tests.tenancy.dying import DyingBigQuery, KilledError


def stored_key(stores: KeyStores, kms: Kms, record: KeyRecord) -> str:
    sealed = stores.copies.store.get(record.key_id)
    assert sealed is not None
    return stores.copies.open(kms, sealed).get_secret_value()


def stores_over(bigquery: BigQuery, secrets: Secrets) -> KeyStores:
    return KeyStores.over(bigquery, secrets, DEVELOPMENT, AUDIT)


def test_a_key_is_stored_sealed_and_recorded_by_its_hash(
    bigquery: BigQuery, stores: KeyStores, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    record = issue(stores, kms, new_key(key_id, tenant_id, expires=100), at(0))

    key = stored_key(stores, kms, record)
    assert is_well_formed(key, DEVELOPMENT)
    assert record.key_hash == hash_of(key)
    assert stores.ledger.get(key_id) == record
    (event,) = [event for event in stores.ledger.all() if event.key_id == key_id]
    assert (event.kind, event.run_id, event.request_id) == (KeyEventKind.ISSUED, "run", "request")
    sealed = stores.copies.store.get(key_id)
    assert sealed is not None
    assert event.kms_key_version == sealed.kms_key_version
    assert key not in str(list(bigquery.client.list_rows("tenants.api_key_events")))
    assert key.encode() not in sealed.ciphertext


@pytest.mark.parametrize("writes", [1, 2, 3, 4], ids=["the place", "its claim", "the copy", "the event"])
def test_killed_behind_any_write_the_next_try_issues_the_key_that_is_sealed(
    project: Settings, stores: KeyStores, secrets: Secrets, kms: Kms, tenant_id: TenantId, writes: int
) -> None:
    asked = new_key(new_key_id(), tenant_id)
    dying = stores_over(DyingBigQuery(bigquery_client(project), writes), secrets)
    with pytest.raises(KilledError):
        issue(dying, kms, asked, at(0))
    record = issue(stores, kms, asked, at(60))
    assert record.key_hash == hash_of(stored_key(stores, kms, record))
    assert [each.key_id for each in stores.ledger.active_for(tenant_id, seconds(60))] == [asked.key_id]


def test_two_at_once_with_one_key_id_issue_one_key(
    stores: KeyStores, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    asked = new_key(key_id, tenant_id)
    with ThreadPoolExecutor(2) as pool:
        hashes = {
            record.key_hash
            for record in pool.map(lambda second: issue(stores, kms, asked, at(second)), (0, 1))
        }
    record = stores.ledger.get(key_id)
    assert record is not None
    assert hashes == {record.key_hash} == {hash_of(stored_key(stores, kms, record))}


def test_of_many_at_once_one_issues_a_key(stores: KeyStores, kms: Kms, tenant_id: TenantId) -> None:
    def attempt(_: int) -> str:
        try:
            return issue(stores, kms, new_key(new_key_id(), tenant_id), at(0)).key_id
        except (PermanentError, TransientError) as error:
            return str(error.code)

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(attempt, range(4)))
    (record,) = stores.ledger.active_for(tenant_id, seconds(1))
    assert outcomes.count(record.key_id) == 1
    assert outcomes.count(ErrorCode.KEY_EXISTS) == 3


def test_a_larger_plan_allows_more_keys(stores: KeyStores, kms: Kms, add_tenant: AddTenant) -> None:
    tenant_id = add_tenant(plan=Plan.PROFESSIONAL)
    for second in range(3):
        issue(stores, kms, new_key(new_key_id(), tenant_id), at(second))
    with pytest.raises(PermanentError, match="may have 3 active"):
        issue(stores, kms, new_key(new_key_id(), tenant_id), at(3))


def test_a_second_key_is_refused_while_the_first_is_active(
    stores: KeyStores, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    issue(stores, kms, new_key(key_id, tenant_id, expires=100), at(0))
    second = new_key(new_key_id(), tenant_id)
    with pytest.raises(PermanentError, match=f"{key_id}/reveal, or revoke it") as raised:
        issue(stores, kms, second, at(99))
    assert (raised.value.code, raised.value.details["key_id"]) == (ErrorCode.KEY_EXISTS, key_id)
    assert stores.copies.store.get(second.key_id) is None
    assert issue(stores, kms, second, at(100)).key_id == second.key_id, "the first has expired"


def test_after_a_revocation_a_new_key_is_issued(
    stores: KeyStores, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    issue(stores, kms, new_key(key_id, tenant_id), at(0))
    revoke(stores, Revocation(key_id, "somebody"), seconds(1))
    assert issue(stores, kms, new_key(new_key_id(), tenant_id), at(2)).tenant_id == tenant_id


def test_a_key_that_is_not_issued_in_time_loses_its_place(
    stores: KeyStores, kms: Kms, tenant_id: TenantId
) -> None:
    slow, quick = new_key(new_key_id(), tenant_id), new_key(new_key_id(), tenant_id)
    assert stores.slots.claim(Slot(1), Claim(tenant_id, slow.key_id, seconds(0)))
    with pytest.raises(PermanentError, match=f"Wait until {slow.key_id} is issued"):
        issue(stores, kms, quick, at(599))
    assert issue(stores, kms, quick, at(600)).key_id == quick.key_id
    with pytest.raises(PermanentError, match=quick.key_id):
        issue(stores, kms, slow, at(601))


def test_what_takes_longer_than_five_minutes_is_not_issued_and_the_next_try_is(
    stores: KeyStores, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    def clock() -> Iterator[float]:
        yield from (0, 1, 301)

    ticks = clock()
    with pytest.raises(TransientError, match="took longer than 5 minutes"):
        issue(stores, kms, new_key(key_id, tenant_id), lambda: seconds(next(ticks)))
    assert stores.ledger.get(key_id) is None
    assert issue(stores, kms, new_key(key_id, tenant_id), at(302)).key_id == key_id


def test_a_tenant_that_is_not_there_gets_no_key(stores: KeyStores, kms: Kms, key_id: KeyId) -> None:
    with pytest.raises(PermanentError, match="Onboard nobody first") as raised:
        issue(stores, kms, new_key(key_id, TenantId("nobody")), at(0))
    assert raised.value.code is ErrorCode.TENANT_NOT_FOUND
    assert stores.copies.store.get(key_id) is None


@pytest.mark.parametrize("state", [state for state in TenantState if state is not TenantState.ACTIVE])
def test_a_tenant_that_is_not_active_gets_no_key(
    stores: KeyStores, kms: Kms, add_tenant: AddTenant, key_id: KeyId, state: TenantState
) -> None:
    with pytest.raises(PermanentError, match=state) as raised:
        issue(stores, kms, new_key(key_id, add_tenant(state)), at(0))
    assert raised.value.code is ErrorCode.TENANT_NOT_ACTIVE
    assert stores.copies.store.get(key_id) is None


class LeavingMeanwhile:
    """A sink of audit rows: the tenant begins to leave between the sealing of its key and the ledger."""

    actor_kind = ActorKind.OPERATOR

    def __init__(self, bigquery: BigQuery) -> None:
        self._tenants = Tenants(bigquery)

    def append(self, *entries: AuditEntry) -> None:
        (entry,) = entries
        if entry.action == "key.issued":
            change = StateChange(
                TenantId(str(entry.tenant_id)),
                "req_" + "z" * 26,
                seconds(1),
                frozenset({TenantState.ACTIVE}),
                TenantState.OFFBOARDING,
            )
            assert self._tenants.change_state(change, seconds(1))


def test_a_key_whose_tenant_leaves_while_it_is_issued_is_revoked(
    bigquery: BigQuery, stores: KeyStores, secrets: Secrets, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    leaving = KeyStores.over(bigquery, secrets, DEVELOPMENT, LeavingMeanwhile(bigquery))
    with pytest.raises(PermanentError) as raised:
        issue(leaving, kms, new_key(key_id, tenant_id), at(0))
    assert raised.value.code is ErrorCode.TENANT_NOT_ACTIVE
    record = stores.ledger.get(key_id)
    assert record is not None
    assert record.revoked_at is not None
    assert stores.copies.store.get(key_id) is None


def changed(asked: NewKey) -> list[NewKey]:
    return [
        replace(asked, tenant_id=TenantId("globex")),
        replace(asked, description="another"),
        replace(asked, scopes=asked.scopes[:1]),
        replace(asked, expires_at=seconds(9)),
    ]


def test_the_same_key_id_is_the_same_key_and_with_another_question_refused(
    stores: KeyStores, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    asked = new_key(key_id, tenant_id)
    assert issue(stores, kms, asked, at(0)) == issue(stores, kms, asked, at(60))
    for other in changed(asked):
        with pytest.raises(PermanentError) as raised:
            issue(stores, kms, other, at(1))
        assert raised.value.code is ErrorCode.IDEMPOTENCY_KEY_REUSED


def test_a_key_id_of_which_another_tenant_has_a_copy_is_refused(
    project: Settings, stores: KeyStores, secrets: Secrets, kms: Kms, add_tenant: AddTenant, key_id: KeyId
) -> None:
    dying = stores_over(DyingBigQuery(bigquery_client(project), 3), secrets)
    with pytest.raises(KilledError):
        issue(dying, kms, new_key(key_id, add_tenant()), at(0))
    with pytest.raises(PermanentError) as raised:
        issue(stores, kms, new_key(key_id, add_tenant()), at(1))
    assert raised.value.code is ErrorCode.IDEMPOTENCY_KEY_REUSED


@pytest.mark.parametrize(
    ("is_shredded", "then"),
    [(True, 1), (False, 7 * 24 * 3600 - 3600)],
    ids=["its bytes are gone", "it is about to be swept"],
)
def test_a_copy_that_nobody_could_open_is_replaced_before_its_key_is_issued(
    project: Settings,
    stores: KeyStores,
    secrets: Secrets,
    kms: Kms,
    tenant_id: TenantId,
    is_shredded: bool,  # noqa: FBT001 a case
    then: int,
) -> None:
    key_id = new_key_id()
    dying = stores_over(DyingBigQuery(bigquery_client(project), 3), secrets)
    with pytest.raises(KilledError):
        issue(dying, kms, new_key(key_id, tenant_id), at(0))
    if is_shredded:
        stores.copies.shredder.shred([key_id])
    with pytest.raises(TransientError, match="Try again"):
        issue(stores, kms, new_key(key_id, tenant_id), at(then))
    record = issue(stores, kms, new_key(key_id, tenant_id), at(then + 1))
    assert record.key_hash == hash_of(stored_key(stores, kms, record))


class WipedAtOnce(BigQuery):
    """Somebody wipes the copy while its key is being issued."""

    def execute(self, sql: str, params: Parameters = ()) -> int:
        return 0 if sql.startswith("-- A key's sealed copy") else super().execute(sql, params)


def test_a_copy_that_is_wiped_while_the_key_is_issued_is_worth_another_try(
    project: Settings, secrets: Secrets, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    with pytest.raises(TransientError, match="Try again"):
        issue(
            stores_over(WipedAtOnce(bigquery_client(project)), secrets),
            kms,
            new_key(key_id, tenant_id),
            at(0),
        )


def test_what_is_asked_for_shows_in_the_record(
    stores: KeyStores, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    asked = replace(new_key(key_id, tenant_id, expires=9), description="for the importer", scopes=())
    record = issue(stores, kms, asked, at(0))
    assert (record.description, record.scopes, record.expires_at) == ("for the importer", (), seconds(9))


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"method": "*/Encrypt", "corrupt": "name"}, ErrorCode.DATA_CORRUPTED),
        ({"method": "*/Encrypt", "corrupt": "ciphertext"}, ErrorCode.DATA_CORRUPTED),
        ({"method": "*/AddSecretVersion", "code": "PERMISSION_DENIED"}, ErrorCode.PERMISSION_DENIED),
    ],
    ids=["another key's name", "a flipped bit", "no Secret Manager"],
)
def test_a_cloud_that_fails_leaves_nothing_issued_and_the_next_try_issues(
    stores: KeyStores,
    kms: Kms,
    tenant_id: TenantId,
    local_gcp: Emulator,
    fault: dict[str, str],
    code: ErrorCode,
) -> None:
    asked = new_key(new_key_id(), tenant_id)
    with faults(local_gcp, fault), pytest.raises((PermanentError, TransientError)) as raised:
        issue(stores, kms, asked, at(0))
    assert raised.value.code is code
    assert "cvg_" not in f"{raised.value} {raised.value.details}"
    assert stores.ledger.get(asked.key_id) is None
    assert stores.copies.store.get(asked.key_id) is None
    assert issue(stores, kms, asked, at(1)).key_id == asked.key_id
