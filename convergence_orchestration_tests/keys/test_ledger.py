from dataclasses import replace

import pytest

from convergence_orchestration.audit.model import Actor, ActorKind, AuditEntry, Outcome, Target
from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.keys.ledger import KeyEvents, KeyLedger, records_of
from convergence_orchestration.keys.model import KeyEvent, KeyEventKind, KeyId, Scope, new_key_id
from convergence_orchestration.keys.token import hash_of
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.audit.builders import ListSink
from convergence_orchestration_tests.keys.builders import AUDIT, happened, issued, seconds

REVOKED, ROTATED = KeyEventKind.REVOKED, KeyEventKind.ROTATED


@pytest.fixture
def ledger(bigquery: BigQuery) -> KeyLedger:
    return KeyLedger(bigquery, AUDIT)


def of(event: KeyEvent, key_id: KeyId, tenant_id: TenantId) -> KeyEvent:
    return replace(event, key_id=key_id, tenant_id=tenant_id, key_hash=event.key_hash and hash_of(key_id))


def test_events_read_back_as_they_were_written(ledger: KeyLedger, key_id: KeyId, tenant_id: TenantId) -> None:
    events = [
        of(issued(at=0, expires=100), key_id, tenant_id),
        of(happened(ROTATED, at=1, overlap_ends=50), key_id, tenant_id),
    ]
    for event in [*events, events[0]]:
        ledger.append(event)
    read = {event for event in ledger.all() if event.key_id == key_id}
    assert read == set(events)


def test_a_record_is_found_by_id_and_by_hash(ledger: KeyLedger, key_id: KeyId, tenant_id: TenantId) -> None:
    assert ledger.get(key_id) is None
    assert ledger.find_by_hash(hash_of(key_id)) is None
    events = [of(issued(), key_id, tenant_id), of(happened(REVOKED, at=5), key_id, tenant_id)]
    for event in events:
        ledger.append(event)
    expected = records_of(events)[0]
    assert expected.revoked_at == seconds(5)
    assert ledger.get(key_id) == expected
    assert ledger.find_by_hash(hash_of(key_id)) == expected


def test_a_tenants_active_keys_leave_out_what_is_revoked_or_expired(
    ledger: KeyLedger, tenant_id: TenantId
) -> None:
    active, revoked, expiring = new_key_id(), new_key_id(), new_key_id()
    ledger.append(of(issued(at=2), active, tenant_id))
    ledger.append(of(issued(), revoked, tenant_id))
    ledger.append(of(happened(REVOKED, at=1), revoked, tenant_id))
    ledger.append(of(issued(at=1, expires=10), expiring, tenant_id))
    assert [record.key_id for record in ledger.active_for(tenant_id, seconds(9))] == [expiring, active]
    assert [record.key_id for record in ledger.active_for(tenant_id, seconds(10))] == [active]


def test_events_since_an_instant_include_that_instant(
    ledger: KeyLedger, key_id: KeyId, tenant_id: TenantId
) -> None:
    for event in (of(issued(at=0), key_id, tenant_id), of(happened(REVOKED, at=7), key_id, tenant_id)):
        ledger.append(event)
    assert [event.kind for event in ledger.events_since(seconds(7)) if event.key_id == key_id] == [REVOKED]


def test_a_scope_of_a_newer_version_is_not_granted(
    bigquery: BigQuery, ledger: KeyLedger, key_id: KeyId, tenant_id: TenantId
) -> None:
    row = {
        "event_id": f"{key_id}.ISSUED",
        "key_id": key_id,
        "tenant_id": tenant_id,
        "kind": "ISSUED",
        "key_hash": hash_of(key_id),
        "environment": "development",
        "scopes": ["everything", "usage:read"],
        "recorded_at": seconds(0),
    }
    bigquery.append("tenants", "api_key_events", [row])
    record = ledger.get(key_id)
    assert record is not None
    assert record.scopes == (Scope.USAGE_READ,)


def test_each_event_has_an_audit_row_before_it_is_in_the_ledger(
    bigquery: BigQuery, key_id: KeyId, tenant_id: TenantId
) -> None:
    sink = ListSink(ActorKind.ADMIN_KEY)
    events = [of(issued(), key_id, tenant_id), of(happened(REVOKED, at=1), key_id, tenant_id)]

    KeyLedger(bigquery, sink).append(*events)

    assert [(entry.action, entry.outcome) for entry in sink.entries] == [
        ("key.issued", Outcome.ATTEMPTED),
        ("key.revoked", Outcome.ATTEMPTED),
    ]
    first = sink.entries[0]
    assert (first.actor, first.target) == (Actor(ActorKind.ADMIN_KEY, "somebody"), Target("key", key_id))
    assert (first.tenant_id, first.request_id, first.run_id) == (tenant_id, "request", "run")
    assert first.details == {"event_id": f"{key_id}.ISSUED"}
    assert hash_of(key_id) not in repr(sink.entries), "the hash of the key"


def test_an_event_whose_audit_row_cannot_be_written_does_not_happen(
    bigquery: BigQuery, key_id: KeyId, tenant_id: TenantId
) -> None:
    class NoSink:
        actor_kind = ActorKind.SYSTEM

        def append(self, *entries: AuditEntry) -> None:
            assert entries
            raise TransientError(ErrorCode.UNAVAILABLE, "no audit")

    with pytest.raises(TransientError, match="no audit"):
        KeyLedger(bigquery, NoSink()).append(of(issued(), key_id, tenant_id))
    assert KeyEvents(bigquery).get(key_id) is None
