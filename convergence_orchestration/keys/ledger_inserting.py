"""Writing rows of the ledger so that every process of the API sees them at its next look.

What belongs here: the statement. Which rows there are is `ledger.py`'s.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter, StructQueryParameter

from convergence_orchestration.gcp.bigquery import BigQuery, Parameters
from convergence_orchestration.keys.slot_store import Claim

_HERE = Path(__file__)
_INSERT = _HERE.with_name("ledger_insert.sql").read_text(encoding="utf-8")
_INSERT_IF_CLAIMED = _INSERT + _HERE.with_name("ledger_if_claimed.sql").read_text(encoding="utf-8")
_TIMES = frozenset({"expires_at", "overlap_ends_at", "recorded_at"})
_TEXTS = (
    "event_id",
    "key_id",
    "tenant_id",
    "kind",
    "key_hash",
    "environment",
    "description",
    "successor_key_id",
    "kms_key_version",
    "actor",
    "request_id",
    "run_id",
)


def insert_rows(bigquery: BigQuery, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows of `api_key_events`, all or none, each once however often the request is repeated.

    Columns that a row leaves out stay empty. A row that is written by two calls is there twice, which readers drop by its
    event id. Errors are those of `gcp.bigquery`; NOT_FOUND before the bootstrap.
    """
    if rows:
        bigquery.execute(_INSERT, [_parameter(rows)])


def insert_rows_if_claimed(bigquery: BigQuery, rows: Sequence[Mapping[str, object]], claim: Claim) -> bool:
    """As `insert_rows` for the rows by which a key is issued, the first of them its issue; False if none was written.

    None is if the place is not held by this claim any more, or if the key was issued already.
    """
    parameters: Parameters = [
        _parameter(rows),
        ScalarQueryParameter("tenant_id", "STRING", claim.tenant_id),
        ScalarQueryParameter("key_id", "STRING", claim.key_id),
        ScalarQueryParameter("claimed_at", "TIMESTAMP", claim.claimed_at),
        ScalarQueryParameter("event_id", "STRING", _value(rows[0], "event_id")),
    ]
    return bigquery.execute(_INSERT_IF_CLAIMED, parameters) > 0


def _parameter(rows: Sequence[Mapping[str, object]]) -> ArrayQueryParameter:
    return ArrayQueryParameter("rows", "STRUCT", [_struct(row) for row in rows])


def _struct(row: Mapping[str, object]) -> StructQueryParameter:
    scopes = row.get("scopes") or ()
    assert isinstance(scopes, Sequence)  # noqa: S101 as `ledger.py` makes it
    return StructQueryParameter(
        None,
        *(ScalarQueryParameter(name, "STRING", _value(row, name)) for name in _TEXTS),
        *(ScalarQueryParameter(name, "TIMESTAMP", _value(row, name)) for name in sorted(_TIMES)),
        # an array inside a struct inside an array is more than BigQuery's parameters take
        ScalarQueryParameter("scopes", "STRING", " ".join(scopes)),
    )


def _value(row: Mapping[str, object], name: str) -> str | datetime | None:
    value = row.get(name)
    assert value is None or isinstance(value, str | datetime)  # noqa: S101 as `ledger.py` makes it
    return value
