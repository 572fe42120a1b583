"""Pages of keys for administrators.

What belongs here: reading them from the ledger. What a record means is `model.py`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from google.cloud.bigquery import ScalarQueryParameter

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.keys.ledger import event_of, records_of
from convergence_orchestration.keys.model import KeyId, KeyRecord
from convergence_orchestration.keys.states import KeyState
from convergence_orchestration.tenancy.model import TenantId

_PAGE = Path(__file__).with_name("key_page.sql").read_text(encoding="utf-8")


@dataclass(frozen=True)
class KeyFilter:
    """Which keys a page shows; None filters nothing."""

    tenant_id: TenantId | None = None
    state: KeyState | None = None


@dataclass(frozen=True)
class Behind:
    """The last key of the page before."""

    issued_at: datetime
    key_id: KeyId


_THE_END = Behind(datetime(9999, 1, 1, tzinfo=UTC), KeyId(""))


def page(
    bigquery: BigQuery, limit: int, wanted: KeyFilter, behind: Behind | None, now: datetime
) -> list[KeyRecord]:
    """At most `limit` keys, the newest first, those behind `behind`; states are as of `now`.

    Errors are those of `gcp.bigquery`; NOT_FOUND before the bootstrap.
    """
    start = behind or _THE_END
    parameters = [
        ScalarQueryParameter("tenant_id", "STRING", wanted.tenant_id or ""),
        ScalarQueryParameter("state", "STRING", str(wanted.state or "")),
        ScalarQueryParameter("issued_before", "TIMESTAMP", start.issued_at),
        ScalarQueryParameter("key_before", "STRING", start.key_id),
        ScalarQueryParameter("now", "TIMESTAMP", now),
        ScalarQueryParameter("page_size", "INT64", limit),
    ]
    records = records_of(map(event_of, bigquery.query(_PAGE, parameters)))
    return sorted(records, key=lambda record: (record.issued_at, record.key_id), reverse=True)
