"""The log of what happened to keys: `tenants.api_key_events`, of which rows are appended and never changed.

What belongs here: appending events, each behind its audit row, and reading records back. Whoever only reads takes
`KeyEvents`. What events mean is `model.record_of`.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from google.cloud.bigquery import ArrayQueryParameter, Row, ScalarQueryParameter

from convergence_orchestration.audit.model import Actor, ActorKind, AuditEntry, AuditSink, Outcome, Target
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.keys.ledger_inserting import insert_rows, insert_rows_if_claimed
from convergence_orchestration.keys.model import (
    KeyEvent,
    KeyEventKind,
    KeyId,
    KeyRecord,
    Scope,
    record_of,
)
from convergence_orchestration.keys.slot_store import Claim
from convergence_orchestration.settings import Environment
from convergence_orchestration.tenancy.model import TenantId

_HERE = Path(__file__)
_BY_KEY = _HERE.with_name("ledger_by_key.sql").read_text(encoding="utf-8")
_BY_HASH = _HERE.with_name("ledger_by_hash.sql").read_text(encoding="utf-8")
_BY_TENANT = _HERE.with_name("ledger_by_tenant.sql").read_text(encoding="utf-8")
_KNOWN = _HERE.with_name("ledger_known.sql").read_text(encoding="utf-8")
_OF_KEYS = _HERE.with_name("ledger_of_keys.sql").read_text(encoding="utf-8")
_SINCE = _HERE.with_name("ledger_since.sql").read_text(encoding="utf-8")
_THE_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class KeyEvents:
    """The ledger as it is read, over one BigQuery. Errors are those of `gcp.bigquery`; NOT_FOUND before the bootstrap."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bigquery = bigquery

    def get(self, key_id: KeyId) -> KeyRecord | None:
        """The key's record, or None if no such key was issued."""
        return record_of(self._read(_BY_KEY, ScalarQueryParameter("key_id", "STRING", key_id)))

    def find_by_hash(self, key_hash: str) -> KeyRecord | None:
        """The record of the key of which `key_hash` is the SHA-256 in hexadecimal, or None."""
        return record_of(self._read(_BY_HASH, ScalarQueryParameter("key_hash", "STRING", key_hash)))

    def known(self, tenant_id: TenantId, *key_ids: KeyId) -> dict[KeyId, KeyRecord]:
        """The tenant's keys, and these keys if they were issued, whosever they are."""
        wanted = ArrayQueryParameter("key_ids", "STRING", list(key_ids))
        events = self._read(_KNOWN, ScalarQueryParameter("tenant_id", "STRING", tenant_id), wanted)
        return {record.key_id: record for record in records_of(events)}

    def of_keys(self, *key_ids: KeyId) -> dict[KeyId, KeyRecord]:
        """Those of these keys that were issued."""
        events = self._read(_OF_KEYS, ArrayQueryParameter("key_ids", "STRING", list(key_ids)))
        return {record.key_id: record for record in records_of(events)}

    def active_for(self, tenant_id: TenantId, now: datetime) -> list[KeyRecord]:
        """The tenant's keys that are accepted at `now`, the one issued last at the end."""
        records = records_of(self._read(_BY_TENANT, ScalarQueryParameter("tenant_id", "STRING", tenant_id)))
        accepted = [record for record in records if record.is_accepted(now)]
        return sorted(accepted, key=lambda record: (record.issued_at, record.key_id))

    def all(self) -> list[KeyEvent]:
        """Every event there is, in no order."""
        return self.events_since(_THE_BEGINNING)

    def events_since(self, since: datetime) -> list[KeyEvent]:
        """Every event recorded at or after `since`, in no order; one that was appended twice may come twice."""
        return self._read(_SINCE, ScalarQueryParameter("since", "TIMESTAMP", since))

    def _read(self, sql: str, *parameters: ScalarQueryParameter | ArrayQueryParameter) -> list[KeyEvent]:
        return [event_of(row) for row in self._bigquery.query(sql, parameters)]


class KeyLedger(KeyEvents):
    """The ledger as it is written: no event gets in without its audit row.

    Args:
        bigquery: where it is.
        audit: what records each event first.
    """

    def __init__(self, bigquery: BigQuery, audit: AuditSink) -> None:
        super().__init__(bigquery)
        self._audit = audit

    def append(self, *events: KeyEvent) -> None:
        """Write down that `events` happened, in one append; the same event twice counts once.

        Raises:
            ConvergenceError: as the sink, and then no event was written; as `gcp.bigquery`, and then its audit row says
                that it was attempted.
        """
        self._record(events)
        insert_rows(self._bigquery, [_row_of(event) for event in events])

    def issue(self, claim: Claim, issued: KeyEvent, *others: KeyEvent) -> bool:
        """As `append` for a key's issue and what happens with it; False, and nothing written, if the claim was overtaken.

        The claim is overtaken once its place is claimed anew, as another try of the same key does, or that key is issued.
        """
        self._record([issued, *others])
        return insert_rows_if_claimed(self._bigquery, [_row_of(event) for event in (issued, *others)], claim)

    def _record(self, events: Iterable[KeyEvent]) -> None:
        self._audit.append(*(_audited(event, self._audit.actor_kind) for event in events))


def records_of(events: Iterable[KeyEvent]) -> list[KeyRecord]:
    """The records that mixed events add up to."""
    by_key: dict[KeyId, list[KeyEvent]] = {}
    for event in events:
        by_key.setdefault(event.key_id, []).append(event)
    return [record for record in map(record_of, by_key.values()) if record is not None]


def _audited(event: KeyEvent, actor_kind: ActorKind) -> AuditEntry:
    """The audit row before the event: whether it then happened, the ledger says under `event_id`."""
    return AuditEntry(
        action=f"key.{event.kind.lower()}",
        actor=Actor(actor_kind, event.actor),
        outcome=Outcome.ATTEMPTED,
        target=Target("key", event.key_id),
        tenant_id=event.tenant_id,
        details={"event_id": event.event_id},
        request_id=event.request_id,
        run_id=event.run_id,
    )


def _row_of(event: KeyEvent) -> dict[str, object]:
    row: dict[str, object | None] = {
        "event_id": event.event_id,
        "key_id": event.key_id,
        "tenant_id": event.tenant_id,
        "kind": str(event.kind),
        "key_hash": event.key_hash,
        "environment": str(event.environment),
        "description": event.description or None,
        "scopes": [str(scope) for scope in event.scopes],
        "expires_at": event.expires_at,
        "overlap_ends_at": event.overlap_ends_at,
        "successor_key_id": event.successor_key_id,
        "kms_key_version": event.kms_key_version,
        "actor": event.actor,
        "request_id": event.request_id,
        "run_id": event.run_id,
        "recorded_at": event.recorded_at,
    }
    return {name: value for name, value in row.items() if value is not None}


def event_of(row: Row) -> KeyEvent:
    """The event that a row of the ledger says."""
    successor = row["successor_key_id"]
    return KeyEvent(
        key_id=KeyId(row["key_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        kind=KeyEventKind(row["kind"]),
        environment=Environment(row["environment"]),
        recorded_at=row["recorded_at"],
        actor=row["actor"] or "",
        key_hash=row["key_hash"],
        description=row["description"] or "",
        # a scope that this version does not know, it does not grant
        scopes=tuple(Scope(scope) for scope in row["scopes"] or () if scope in Scope),
        expires_at=row["expires_at"],
        overlap_ends_at=row["overlap_ends_at"],
        successor_key_id=KeyId(successor) if successor else None,
        kms_key_version=row["kms_key_version"],
        request_id=row["request_id"],
        run_id=row["run_id"],
    )
