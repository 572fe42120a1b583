"""The log of requests for tenants: `tenants.tenant_requests`, of which rows are appended and never changed.

What belongs here: appending events and reading requests back. What a request's events mean is `request_history.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from google.cloud.bigquery import ArrayQueryParameter, Row, ScalarQueryParameter

from convergence_orchestration.errors import TRANSIENT_CODES, ErrorCode
from convergence_orchestration.gcp.bigquery import BigQuery, Parameters
from convergence_orchestration.tenancy.asked import Asked, RequestKind, from_json, to_json
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.request_history import in_order, request_of, requests_of
from convergence_orchestration.tenancy.request_model import (
    BatchId,
    RequestEvent,
    RequestId,
    RequestState,
    TenantRequest,
)
from convergence_orchestration.tenancy.retries import MOST_ATTEMPTS
from convergence_orchestration.warehouse.model import CENTRAL_DATASET

_HERE = Path(__file__)
_BY_ID = _HERE.with_name("requests_by_id.sql").read_text(encoding="utf-8")
_BY_TENANT = _HERE.with_name("requests_by_tenant.sql").read_text(encoding="utf-8")
_BY_KEY = _HERE.with_name("requests_by_key.sql").read_text(encoding="utf-8")
_UNFINISHED = _HERE.with_name("requests_unfinished.sql").read_text(encoding="utf-8")
_PAGE = _HERE.with_name("requests_page.sql").read_text(encoding="utf-8")
_OF_BATCH = _HERE.with_name("requests_of_batch.sql").read_text(encoding="utf-8")

_THE_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class UnfinishedRequest:
    """A request that is open, or failed and to be tried again; times are UTC, `updated_at` that of its latest event."""

    request_id: RequestId
    tenant_id: TenantId
    kind: RequestKind
    state: RequestState
    attempt: int
    run_id: str | None
    error_code: ErrorCode | None
    batch_id: BatchId | None
    requested_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class RequestFilter:
    """Which requests a page shows; None filters nothing."""

    tenant_id: TenantId | None = None
    state: RequestState | None = None
    kind: RequestKind | None = None
    batch_id: BatchId | None = None


@dataclass(frozen=True)
class BatchProgress:
    """How many requests of a batch are in which state; times are UTC."""

    counts: dict[RequestState, int]
    requested_at: datetime
    updated_at: datetime


class TenantRequests:
    """The requests, over one BigQuery. Errors are those of `gcp.bigquery`; NOT_FOUND before the bootstrap."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bigquery = bigquery

    def append(self, *events: RequestEvent) -> None:
        """Write down that `events` happened; the same event twice counts once. 500 events are one call."""
        self._bigquery.append(CENTRAL_DATASET, "tenant_requests", [_row_of(event) for event in events])

    def events(self, request_id: RequestId) -> list[RequestEvent]:
        """All that happened to the request, in order; empty if it is unknown."""
        return in_order(self._events(_BY_ID, "request_ids", [request_id]))

    def get(self, request_id: RequestId) -> TenantRequest | None:
        """The request as it is now, or None if it is unknown."""
        return request_of(self.events(request_id))

    def get_all(self, request_ids: Sequence[RequestId]) -> list[TenantRequest]:
        """Those of the requests that are known, in the order in which they were asked for."""
        return requests_of(self._events(_BY_ID, "request_ids", request_ids))

    def all_for(self, *tenant_ids: TenantId) -> list[TenantRequest]:
        """Every request for these tenant ids, the latest at the end."""
        return requests_of(self._events(_BY_TENANT, "tenant_ids", tenant_ids))

    def asked_with_key(self, kind: RequestKind, actor: str, idempotency_key: str) -> list[RequestEvent]:
        """All that happened to the requests that `actor` asked for with this key, in order."""
        parameters = [_text("kind", kind), _text("actor", actor), _text("idempotency_key", idempotency_key)]
        return in_order(map(_event_of, self._bigquery.query(_BY_KEY, parameters)))

    def unfinished(self, since: datetime) -> list[UnfinishedRequest]:
        """The requests with an event since then that are open or to be tried again, the oldest first."""
        parameters: Parameters = [
            ScalarQueryParameter("since", "TIMESTAMP", since),
            ArrayQueryParameter("transient_codes", "STRING", sorted(TRANSIENT_CODES)),
            ScalarQueryParameter("most_attempts", "INT64", MOST_ATTEMPTS),
        ]
        return [_unfinished_of(row) for row in self._bigquery.query(_UNFINISHED, parameters)]

    def page(
        self, limit: int, wanted: RequestFilter, before: tuple[datetime, RequestId] | None = None
    ) -> list[TenantRequest]:
        """At most `limit` requests, the newest first, behind the one that `before` names."""
        return [_request_of(row) for row in self._bigquery.query(_PAGE, _page(limit, wanted, before))]

    def batch(self, batch_id: BatchId) -> BatchProgress | None:
        """How far the batch is; None if there is none of this id."""
        rows = self._bigquery.query(_OF_BATCH, [_text("batch_id", batch_id)])
        if not rows:
            return None
        return BatchProgress(
            counts={RequestState(row["state"]): row["requests"] for row in rows},
            requested_at=min(row["requested_at"] for row in rows),
            updated_at=max(row["updated_at"] for row in rows),
        )

    def _events(self, sql: str, name: str, values: Iterable[str]) -> list[RequestEvent]:
        wanted = ArrayQueryParameter(name, "STRING", list(values))
        return [_event_of(row) for row in self._bigquery.query(sql, [wanted])]


def _page(limit: int, wanted: RequestFilter, before: tuple[datetime, RequestId] | None) -> Parameters:
    before_time, before_id = before or (_THE_BEGINNING, "")
    return [
        _text("tenant_id", wanted.tenant_id),
        _text("state", wanted.state),
        _text("kind", wanted.kind),
        _text("batch_id", wanted.batch_id),
        ScalarQueryParameter("before_time", "TIMESTAMP", before_time),
        _text("before_request_id", before_id),
        ScalarQueryParameter("page_size", "INT64", limit),
    ]


def _text(name: str, value: str | None) -> ScalarQueryParameter:
    return ScalarQueryParameter(name, "STRING", str(value or ""))


def _row_of(event: RequestEvent) -> dict[str, object]:
    row: dict[str, object | None] = {
        "event_id": event.event_id,
        "request_id": event.request_id,
        "tenant_id": event.tenant_id,
        "kind": str(event.kind),
        "state": str(event.state),
        "parameters": to_json(event.parameters) if event.parameters else None,
        "actor": event.actor,
        "run_id": event.run_id,
        "reason": event.reason,
        "error_code": str(event.error_code) if event.error_code else None,
        "idempotency_key": event.idempotency_key,
        "batch_id": event.batch_id,
        "attempt": event.attempt,
        "recorded_at": event.recorded_at,
    }
    return {name: value for name, value in row.items() if value is not None}


def _event_of(row: Row) -> RequestEvent:
    return RequestEvent(
        request_id=RequestId(row["request_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        kind=RequestKind(row["kind"]),
        state=RequestState(row["state"]),
        parameters=_parameters_of(row),
        actor=row["actor"] or "",
        run_id=row["run_id"],
        reason=row["reason"],
        error_code=_code_of(row),
        idempotency_key=row["idempotency_key"],
        batch_id=_batch_of(row),
        attempt=row["attempt"] or 1,
        recorded_at=row["recorded_at"],
    )


def _request_of(row: Row) -> TenantRequest:
    parameters = _parameters_of(row)
    if parameters is None:
        raise ValueError(f"request {row['request_id']} has no parameters")
    return TenantRequest(
        request_id=RequestId(row["request_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        kind=RequestKind(row["kind"]),
        state=RequestState(row["state"]),
        parameters=parameters,
        actor=row["actor"] or "",
        run_id=row["run_id"],
        reason=row["reason"],
        error_code=_code_of(row),
        attempt=row["attempt"],
        batch_id=_batch_of(row),
        requested_at=row["requested_at"],
        updated_at=row["updated_at"],
    )


def _unfinished_of(row: Row) -> UnfinishedRequest:
    return UnfinishedRequest(
        request_id=RequestId(row["request_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        kind=RequestKind(row["kind"]),
        state=RequestState(row["state"]),
        attempt=row["attempt"],
        run_id=row["run_id"],
        error_code=_code_of(row),
        batch_id=_batch_of(row),
        requested_at=row["requested_at"],
        updated_at=row["updated_at"],
    )


def _parameters_of(row: Row) -> Asked | None:
    text = row["parameters"]
    return None if text is None else from_json(RequestKind(row["kind"]), text)


def _code_of(row: Row) -> ErrorCode | None:
    return ErrorCode(row["error_code"]) if row["error_code"] else None


def _batch_of(row: Row) -> BatchId | None:
    return BatchId(row["batch_id"]) if row["batch_id"] else None
