"""Entries and chains for tests, and a BigQuery whose appends fail as told."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from convergence_orchestration.audit.chain import chained, head_at, row_hash
from convergence_orchestration.audit.model import (
    ANCHORS,
    CLOSED,
    OPENED,
    Actor,
    ActorKind,
    AuditEntry,
    ChainedRow,
    Head,
    Outcome,
    Target,
)
from convergence_orchestration.settings import Environment

T0 = datetime(2026, 11, 20, 12, tzinfo=UTC)


def entry(action: str = "tenant.create", **fields: object) -> AuditEntry:
    given: dict[str, object] = {
        "actor": Actor(ActorKind.ADMIN_KEY, "alice"),
        "outcome": Outcome.SUCCEEDED,
        "target": Target("tenant", "acme"),
        "tenant_id": "acme",
        **fields,
    }
    return AuditEntry(action=action, **given)  # type: ignore[arg-type] # each test gives what fits


def chain(writer_id: str, *actions: str, anchors: Iterable[Head] = ()) -> list[ChainedRow]:
    """A writer's rows: its opening with these anchors, and one row for each action."""
    opening = entry(
        OPENED, details={ANCHORS: [[each.writer_id, each.sequence, each.row_hash] for each in anchors]}
    )
    rows: list[ChainedRow] = []
    for number, each in enumerate([opening, *(entry(action) for action in actions)]):
        after = head_at(rows[-1]) if rows else None
        rows.append(chained(each, writer_id, after, Environment.DEVELOPMENT, T0 + timedelta(seconds=number)))
    return rows


def closed_chain(writer_id: str, *actions: str, anchors: Iterable[Head] = ()) -> list[ChainedRow]:
    return chain(writer_id, *actions, CLOSED, anchors=anchors)


def forged(row: ChainedRow, **changes: object) -> ChainedRow:
    """The row changed by somebody who knows how its hash is made."""
    changed = replace(row, **changes)  # type: ignore[arg-type] # each test gives what fits
    return replace(changed, row_hash=row_hash(changed))


@dataclass
class ListSink:
    """An `AuditSink` that keeps what it is given."""

    actor_kind: ActorKind = ActorKind.OPERATOR
    entries: list[AuditEntry] = field(default_factory=list)

    def append(self, *entries: AuditEntry) -> None:
        self.entries += entries


@dataclass
class ListedTable:
    """As much of BigQuery as a writer needs; `failures` are raised by the next appends, `None` lets one through.

    An append that fails with `is_stored` has reached the table all the same: its answer was lost.
    """

    failures: list[tuple[Exception, bool] | None] = field(default_factory=list)
    rows: list[dict[str, object]] = field(default_factory=list)
    appends: list[int] = field(default_factory=list)
    heads: Sequence[Head] = ()

    def append(self, dataset_id: str, table_id: str, rows: Sequence[Mapping[str, object]]) -> None:
        assert (dataset_id, table_id) == ("tenants", "audit_log")
        self.appends.append(len(rows))
        failure = self.failures.pop(0) if self.failures else None
        if failure is None or failure[1]:
            self.rows += map(dict, rows)
        if failure is not None:
            raise failure[0]

    def query(self, sql: str, params: object) -> list[dict[str, object]]:
        assert "audit_log" in sql
        assert params
        return [
            {"writer_id": head.writer_id, "sequence": head.sequence, "row_hash": head.row_hash}
            for head in self.heads
        ]

    def stored(self) -> list[ChainedRow]:
        names = [each.name for each in fields(ChainedRow)]
        found: list[dict[str, Any]] = [{name: row.get(name) for name in names} for row in self.rows]
        return [ChainedRow(**row) for row in found]
