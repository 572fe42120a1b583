from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys.delivery import Delivery, deliver
from convergence_orchestration.keys.issuing import issue
from convergence_orchestration.keys.model import KeyId, KeyRecord, new_key_id
from convergence_orchestration.keys.sealed_store import CopyFacts
from convergence_orchestration.keys.shredding import Shreddable
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.keys.upkeep.sweeping import Sweeper, due_copies, orphaned, sweep, what_is_due
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.keys.builders import (
    ACME,
    AUDIT,
    DEVELOPMENT,
    T0,
    at,
    key_id,
    new_key,
    record,
    seconds,
)
from convergence_orchestration_tests.tenancy.dying import DyingBigQuery, KilledError

HOUR = 3600
WEEK = 7 * 24 * HOUR
BY = Sweeper("sealed_key_sweep", "run")
KEY = replace(record(), key_id=key_id())
COPY = CopyFacts(key_id(), ACME, DEVELOPMENT, T0)
REPEATABLE = replace(COPY, is_repeatable=True)
FETCHED = replace(KEY, delivered_at=T0)
UNFETCHED = "nobody fetched the key within 7 days"


@pytest.mark.parametrize(
    ("copy", "found", "now", "reason"),
    [
        (COPY, None, WEEK - 1, None),
        (COPY, None, WEEK, "the key was never issued"),
        (COPY, KEY, WEEK + HOUR - 1, None),
        (COPY, KEY, WEEK + HOUR, UNFETCHED),
        (COPY, replace(KEY, issued_at=seconds(WEEK - 60)), WEEK + HOUR, None),
        (COPY, FETCHED, WEEK - 1, None),
        (COPY, FETCHED, WEEK, "its delivery was cut off"),
        (REPEATABLE, KEY, WEEK + HOUR - 1, None),
        (REPEATABLE, KEY, WEEK + HOUR, UNFETCHED),
        (REPEATABLE, FETCHED, 599, None),
        (REPEATABLE, FETCHED, 600, "the time in which it is handed over again is over"),
        (COPY, replace(KEY, revoked_at=T0), 0, "the key is REVOKED"),
        (COPY, replace(KEY, expires_at=seconds(9)), 8, None),
        (COPY, replace(KEY, expires_at=seconds(9)), 9, "the key is EXPIRED"),
    ],
)
def test_when_a_copy_is_wiped_and_that_a_key_ends_with_it_only_if_no_delivery_of_it_is_recorded(
    copy: CopyFacts, found: KeyRecord | None, now: int, reason: str | None
) -> None:
    records = {found.key_id: found} if found else {}
    due = due_copies([copy], records, seconds(now))
    assert [each.reason for each in due] == ([reason] if reason else [])
    assert [each.unfetched for each in due] == ([found if reason == UNFETCHED else None] if reason else [])


def test_bytes_without_a_copy_are_shredded_after_a_day() -> None:
    day = 24 * 3600
    secrets = [Shreddable(key_id(), ACME, T0), Shreddable(key_id(2), ACME, T0)]
    assert orphaned(secrets, [COPY], seconds(day - 1)) == ()
    assert orphaned(secrets, [COPY], seconds(day)) == (key_id(2),)


def test_a_sweep_wipes_what_is_due_and_what_a_killed_delivery_left_and_is_harmless_again(
    project: Settings, stores: KeyStores, secrets: Secrets, kms: Kms, tenant_id: TenantId
) -> None:
    now = datetime.now(UTC)
    asked = replace(new_key(new_key_id(), tenant_id), is_repeatable=True)
    issue(stores, kms, asked, lambda: now)
    deliver(stores, kms, Delivery(asked.key_id, "somebody", is_its_request=True), now)
    orphan = new_key_id()
    stores.copies.shredder.make(tenant_id, orphan)

    assert asked.key_id not in {due.key_id for due in what_is_due(stores.copies.store, stores.ledger, now)}
    later = now + timedelta(minutes=10)
    assert asked.key_id in {due.key_id for due in what_is_due(stores.copies.store, stores.ledger, later)}
    dying = KeyStores.over(DyingBigQuery(bigquery_client(project), 1), secrets, DEVELOPMENT, AUDIT)
    with pytest.raises(KilledError):
        sweep(dying, BY, later)

    swept = sweep(stores, BY, now + timedelta(days=2))
    assert {asked.key_id, orphan} <= set(swept.shredded)
    again = sweep(stores, BY, now + timedelta(days=2))
    assert (again.wiped, again.shredded) == ((), ())
    assert stores.copies.shredder.of_tenant(tenant_id) == []


def test_without_copies_the_ledger_is_not_asked(stores: KeyStores) -> None:
    stores.copies.wipe(*(copy.key_id for copy in stores.copies.store.all()))
    assert what_is_due(stores.copies.store, None, datetime.now(UTC)) == ()  # type: ignore[arg-type]


def test_a_copy_of_a_key_that_is_still_to_be_fetched_stays(
    stores: KeyStores, kms: Kms, tenant_id: TenantId
) -> None:
    wanted: KeyId = issue(stores, kms, new_key(new_key_id(), tenant_id), at(0)).key_id
    sweep(stores, BY, seconds(HOUR))
    assert stores.copies.store.get(wanted) is not None
    stores.copies.wipe(wanted)


def test_a_key_that_nobody_fetched_in_a_week_is_revoked_before_its_copy_goes_and_another_can_be_issued(
    project: Settings, stores: KeyStores, secrets: Secrets, kms: Kms, tenant_id: TenantId
) -> None:
    lost = issue(stores, kms, new_key(new_key_id(), tenant_id), at(0)).key_id
    with pytest.raises(PermanentError, match=f"Revoke {lost} and issue a new key") as raised:
        deliver(stores, kms, Delivery(lost, "somebody"), seconds(WEEK))
    assert raised.value.code is ErrorCode.FAILED_PRECONDITION

    dying = KeyStores.over(DyingBigQuery(bigquery_client(project), 1), secrets, DEVELOPMENT, AUDIT)
    with pytest.raises(KilledError):
        sweep(dying, BY, seconds(WEEK + HOUR))
    revoked = stores.ledger.get(lost)
    assert revoked is not None
    assert revoked.revoked_at == seconds(WEEK + HOUR)
    assert stores.copies.store.get(lost) is not None
    (event,) = (each for each in stores.ledger.all() if each.event_id == f"{lost}.REVOKED")
    assert (event.actor, event.description, event.run_id) == ("sealed_key_sweep", UNFETCHED, "run")

    again = sweep(stores, BY, seconds(WEEK + HOUR))
    assert {each.key_id: each.reason for each in again.wiped}[lost] == "the key is REVOKED"
    assert again.ended == ()
    assert stores.copies.store.get(lost) is None
    assert issue(stores, kms, new_key(new_key_id(), tenant_id), at(WEEK + HOUR)).tenant_id == tenant_id
