from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys.delivery import Delivery, deliver
from convergence_orchestration.keys.issuing import issue
from convergence_orchestration.keys.model import KeyId, KeyRecord, new_key_id
from convergence_orchestration.keys.sealed_store import CopyFacts
from convergence_orchestration.keys.shredding import Shreddable
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.keys.upkeep.sweeping import due_copies, orphaned, sweep, what_is_due
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

WEEK = 7 * 24 * 3600
KEY = replace(record(), key_id=key_id())
COPY = CopyFacts(key_id(), ACME, DEVELOPMENT, T0)
REPEATABLE = replace(COPY, is_repeatable=True)
FETCHED = replace(KEY, delivered_at=T0)


@pytest.mark.parametrize(
    ("copy", "found", "now", "reason"),
    [
        (COPY, None, WEEK - 1, None),
        (COPY, None, WEEK, "the key was never issued"),
        (COPY, KEY, WEEK - 1, None),
        (COPY, KEY, WEEK, "nobody fetched the key"),
        (COPY, FETCHED, 600, None),
        (REPEATABLE, KEY, WEEK - 1, None),
        (REPEATABLE, FETCHED, 599, None),
        (REPEATABLE, FETCHED, 600, "the time in which it is handed over again is over"),
        (COPY, replace(KEY, revoked_at=T0), 0, "the key is REVOKED"),
        (COPY, replace(KEY, expires_at=seconds(9)), 8, None),
        (COPY, replace(KEY, expires_at=seconds(9)), 9, "the key is EXPIRED"),
    ],
)
def test_when_a_copy_is_wiped(copy: CopyFacts, found: KeyRecord | None, now: int, reason: str | None) -> None:
    records = {found.key_id: found} if found else {}
    assert [due.reason for due in due_copies([copy], records, seconds(now))] == ([reason] if reason else [])


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
        sweep(dying, later)

    swept = sweep(stores, now + timedelta(days=2))
    assert {asked.key_id, orphan} <= set(swept.shredded)
    again = sweep(stores, now + timedelta(days=2))
    assert (again.wiped, again.shredded) == ((), ())
    assert stores.copies.shredder.of_tenant(tenant_id) == []


def test_without_copies_the_ledger_is_not_asked(stores: KeyStores) -> None:
    stores.copies.wipe(*(copy.key_id for copy in stores.copies.store.all()))
    assert what_is_due(stores.copies.store, None, datetime.now(UTC)) == ()  # type: ignore[arg-type]


def test_a_copy_of_a_key_that_is_still_to_be_fetched_stays(
    stores: KeyStores, kms: Kms, tenant_id: TenantId
) -> None:
    wanted: KeyId = issue(stores, kms, new_key(new_key_id(), tenant_id), at(0)).key_id
    sweep(stores, seconds(3600))
    assert stores.copies.store.get(wanted) is not None
    stores.copies.wipe(wanted)
