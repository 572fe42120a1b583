from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys.issuing import issue
from convergence_orchestration.keys.model import KeyId, KeyRecord, Scope, new_key_id
from convergence_orchestration.keys.revoking import Revocation, revoke
from convergence_orchestration.keys.rotating import Rotation, rotate
from convergence_orchestration.keys.states import KeyState
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults
from convergence_orchestration_tests.keys.builders import AUDIT, DEVELOPMENT, at, issued, new_key, seconds
from convergence_orchestration_tests.tenancy.dying import DyingBigQuery, KilledError

HOUR = timedelta(hours=1)


@pytest.fixture
def old(stores: KeyStores, kms: Kms, tenant_id: TenantId, key_id: KeyId) -> KeyRecord:
    return issue(stores, kms, new_key(key_id, tenant_id, expires=100_000), at(0))


def wanted(old: KeyRecord, grace: timedelta = HOUR) -> Rotation:
    return Rotation(old.key_id, new_key_id(), grace, "somebody")


def test_for_a_while_both_keys_are_accepted_and_then_the_new_one_alone(
    stores: KeyStores, kms: Kms, old: KeyRecord
) -> None:
    asked = wanted(old)
    rotated = rotate(stores, kms, asked, at(10))
    keys = stores.ledger.known(old.tenant_id)
    assert (keys[old.key_id], keys[asked.new_key_id]) == (rotated.old, rotated.new)
    assert rotated.old.successor_key_id == asked.new_key_id
    assert rotated.old.ends_at == seconds(3610)
    assert [each.is_accepted(seconds(3609)) for each in (rotated.old, rotated.new)] == [True, True]
    assert [each.is_accepted(seconds(3610)) for each in (rotated.old, rotated.new)] == [False, True]
    assert (rotated.new.description, rotated.new.scopes) == (old.description, old.scopes)
    assert rotated.new.expires_at is None
    with pytest.raises(PermanentError) as raised:
        issue(stores, kms, new_key(new_key_id(), old.tenant_id), at(11))
    assert raised.value.code is ErrorCode.KEY_EXISTS, "the place is the new key's"


def test_without_grace_the_old_key_ends_at_once_and_the_new_one_is_as_asked(
    stores: KeyStores, kms: Kms, old: KeyRecord
) -> None:
    asked = replace(
        wanted(old, timedelta()), description="new", scopes=(Scope.USAGE_READ,), expires_at=seconds(50)
    )
    rotated = rotate(stores, kms, asked, at(10))
    assert rotated.old.state(seconds(10)) is KeyState.EXPIRED
    assert (rotated.new.description, rotated.new.scopes) == ("new", (Scope.USAGE_READ,))
    assert rotated.new.expires_at == seconds(50)


def test_of_two_rotations_at_once_one_wins(stores: KeyStores, kms: Kms, old: KeyRecord) -> None:
    def attempt(asked: Rotation) -> str:
        try:
            return rotate(stores, kms, asked, at(10)).new.key_id
        except PermanentError as error:
            return str(error.code)

    with ThreadPoolExecutor(2) as pool:
        outcomes = set(pool.map(attempt, [wanted(old), wanted(old)]))
    active = [each.key_id for each in stores.ledger.active_for(old.tenant_id, seconds(3610))]
    assert len(active) == 1
    assert outcomes - {*active} <= {ErrorCode.REQUEST_IN_PROGRESS, ErrorCode.FAILED_PRECONDITION}
    assert outcomes > {*active}


@pytest.mark.parametrize("writes", [1, 2, 3], ids=["the place", "the copy", "the events"])
def test_killed_behind_any_write_the_next_try_continues(
    project: Settings, stores: KeyStores, secrets: Secrets, kms: Kms, old: KeyRecord, writes: int
) -> None:
    asked = wanted(old)
    dying = KeyStores.over(DyingBigQuery(bigquery_client(project), writes), secrets, DEVELOPMENT, AUDIT)
    with pytest.raises(KilledError):
        rotate(dying, kms, asked, at(10))
    rotated = rotate(stores, kms, asked, at(20))
    active = stores.ledger.active_for(old.tenant_id, seconds(4000))
    assert [each.key_id for each in active] == [asked.new_key_id]
    assert rotated.old.ends_at == seconds(3610 if writes == 3 else 3620)


def test_another_rotation_takes_over_what_came_to_nothing_and_the_first_then_finds_it_done(
    project: Settings, stores: KeyStores, secrets: Secrets, kms: Kms, old: KeyRecord
) -> None:
    first, second = wanted(old), wanted(old)
    dying = KeyStores.over(DyingBigQuery(bigquery_client(project), 1), secrets, DEVELOPMENT, AUDIT)
    with pytest.raises(KilledError):
        rotate(dying, kms, first, at(10))
    with pytest.raises(PermanentError) as raised:
        rotate(stores, kms, second, at(609))
    assert raised.value.code is ErrorCode.REQUEST_IN_PROGRESS
    assert rotate(stores, kms, second, at(610)).new.key_id == second.new_key_id
    with pytest.raises(PermanentError, match=f"Rotate {second.new_key_id}") as raised:
        rotate(stores, kms, first, at(611))
    assert raised.value.code is ErrorCode.FAILED_PRECONDITION


def test_a_key_issued_before_there_were_places_is_rotated(
    stores: KeyStores, kms: Kms, tenant_id: TenantId, key_id: KeyId
) -> None:
    event = replace(issued(), key_id=key_id, tenant_id=tenant_id)
    stores.ledger.append(event)
    record = stores.ledger.get(key_id)
    assert record is not None
    rotate(stores, kms, wanted(record), at(10))
    with pytest.raises(PermanentError) as raised:
        issue(stores, kms, new_key(new_key_id(), tenant_id), at(11))
    assert raised.value.code is ErrorCode.KEY_EXISTS


def test_the_same_rotation_with_another_question_is_refused(
    stores: KeyStores, kms: Kms, old: KeyRecord
) -> None:
    asked = wanted(old)
    rotate(stores, kms, asked, at(10))
    for other in (replace(asked, grace=2 * HOUR), replace(asked, description="another")):
        with pytest.raises(PermanentError) as raised:
            rotate(stores, kms, other, at(11))
        assert raised.value.code is ErrorCode.IDEMPOTENCY_KEY_REUSED


def test_a_revoked_an_expired_and_an_unknown_key_are_not_rotated(
    stores: KeyStores, kms: Kms, old: KeyRecord
) -> None:
    with pytest.raises(PermanentError, match="EXPIRED and cannot be rotated") as raised:
        rotate(stores, kms, wanted(old), at(100_000))
    assert raised.value.code is ErrorCode.FAILED_PRECONDITION
    revoke(stores, Revocation(old.key_id, "somebody"), seconds(1))
    with pytest.raises(PermanentError, match="is REVOKED and cannot be rotated") as raised:
        rotate(stores, kms, wanted(old), at(2))
    assert raised.value.code is ErrorCode.FAILED_PRECONDITION
    with pytest.raises(PermanentError) as raised:
        rotate(stores, kms, replace(wanted(old), key_id=new_key_id()), at(2))
    assert raised.value.code is ErrorCode.KEY_NOT_FOUND


def test_a_cloud_that_fails_leaves_the_old_key_as_it_was(
    stores: KeyStores, kms: Kms, old: KeyRecord, local_gcp: Emulator
) -> None:
    asked = wanted(old)
    with faults(local_gcp, {"method": "*/Encrypt", "corrupt": "name"}), pytest.raises(TransientError):
        rotate(stores, kms, asked, at(10))
    assert stores.ledger.get(old.key_id) == old
    assert stores.ledger.get(asked.new_key_id) is None
    assert rotate(stores, kms, asked, at(11)).new.key_id == asked.new_key_id
