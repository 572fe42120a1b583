r"""How rows are chained: what exactly is hashed, so that an auditor can compute it without this program.

The hash of a row is the SHA-256, in lower-case hexadecimal, of the UTF-8 text of one JSON object. It has every column of
the row that is not NULL, `previous_hash` included and `row_hash` left out. Its names are in ascending order of their code
points, there is no white space between its tokens, texts are written as JSON texts in which only `"`, `\` and control
characters are escaped, numbers as decimal integers, and `recorded_at` as a text `2026-11-23T08:15:00.000000Z` with six
digits behind the point. `previous_hash` is the `row_hash` of the row of the same writer whose sequence is one less; the
row with sequence 1 has none. A column that a later version adds is NULL in older rows and changes no hash of theirs.
"""

import json
from dataclasses import asdict, replace
from datetime import datetime
from hashlib import sha256

from convergence_orchestration.audit.model import (
    MAX_DETAILS,
    AuditEntry,
    ChainedRow,
    Head,
    plain_text,
    utc,
)
from convergence_orchestration.settings import Environment


def row_hash(row: ChainedRow) -> str:
    """The hash that the row must carry; its own `row_hash` has no part in it."""
    return sha256(canonical(row).encode()).hexdigest()


def canonical(row: ChainedRow) -> str:
    """The text that is hashed, see the module."""
    columns = {name: _value(value) for name, value in asdict(row).items() if value is not None}
    columns.pop("row_hash")
    return json.dumps(columns, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def chained(
    entry: AuditEntry, writer_id: str, after: Head | None, environment: Environment, now: datetime
) -> ChainedRow:
    """The entry as the row behind `after` in the writer's chain; `now` is its time unless it has one."""
    sequence = after.sequence + 1 if after else 1
    target = entry.target
    row = ChainedRow(
        event_id=f"{writer_id}.{sequence}",
        action=plain_text(entry.action) or "unnamed",
        actor_kind=str(entry.actor.kind),
        actor=plain_text(entry.actor.name),
        target_kind=plain_text(target.kind) if target else None,
        target_id=plain_text(target.id) if target else None,
        tenant_id=plain_text(entry.tenant_id),
        outcome=str(entry.outcome),
        error_code=str(entry.error_code) if entry.error_code else None,
        method=plain_text(entry.method),
        path=plain_text(entry.path),
        status_code=entry.status_code,
        source_address=plain_text(entry.source_address),
        details=_details(entry),
        environment=str(environment),
        request_id=plain_text(entry.request_id),
        run_id=plain_text(entry.run_id),
        writer_id=writer_id,
        sequence=sequence,
        previous_hash=after.row_hash if after else None,
        row_hash="",
        recorded_at=utc(entry.recorded_at or now),
    )
    return replace(row, row_hash=row_hash(row))


def head_at(row: ChainedRow) -> Head:
    """The row as the head of its chain."""
    return Head(row.writer_id, row.sequence, row.row_hash)


def columns_of(row: ChainedRow) -> dict[str, object]:
    """The row as BigQuery takes it."""
    return {name: value for name, value in asdict(row).items() if value is not None}


def _details(entry: AuditEntry) -> str | None:
    """ASCII alone, so that any store gives it back as it was."""
    if not entry.details:
        return None
    text = json.dumps(dict(entry.details), sort_keys=True, separators=(",", ":"), default=str)
    return text if len(text) <= MAX_DETAILS else json.dumps({"left_out_characters": len(text)})


def _value(value: object) -> object:
    if isinstance(value, datetime):
        return utc(value).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value
