"""The log of requests for tenants: `tenants.tenant_requests`, of which rows are appended and never changed.

What belongs here: appending events and reading requests back. What a request's events mean is `request_history.py`.
"""

import json
from pathlib import Path

from google.cloud.bigquery import Row, ScalarQueryParameter

from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import (
    NewTenant,
    Plan,
    RequestEvent,
    RequestId,
    RequestKind,
    RequestState,
    TenantId,
    TenantRequest,
)
from convergence_orchestration.tenancy.request_history import in_order, request_of, requests_of, resumable
from convergence_orchestration.warehouse.model import CENTRAL_DATASET

_BY_ID = Path(__file__).with_name("requests_by_id.sql").read_text(encoding="utf-8")
_BY_TENANT = Path(__file__).with_name("requests_by_tenant.sql").read_text(encoding="utf-8")


class TenantRequests:
    """The requests, over one BigQuery. Errors are those of `gcp.bigquery`; NOT_FOUND before the bootstrap."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bigquery = bigquery

    def append(self, event: RequestEvent) -> None:
        """Write down that `event` happened; the same event twice counts once."""
        self._bigquery.append(CENTRAL_DATASET, "tenant_requests", [_row_of(event)])

    def events(self, request_id: RequestId) -> list[RequestEvent]:
        """All that happened to the request, in order; empty if it is unknown."""
        return in_order(self._read(_BY_ID, "request_id", request_id))

    def get(self, request_id: RequestId) -> TenantRequest | None:
        """The request as it is now, or None if it is unknown."""
        return request_of(self.events(request_id))

    def all_for(self, tenant_id: TenantId) -> list[TenantRequest]:
        """Every request for this tenant id, the latest at the end."""
        return requests_of(self._read(_BY_TENANT, "tenant_id", tenant_id))

    def latest_for(self, tenant_id: TenantId) -> TenantRequest | None:
        """The latest request for this tenant id, whatever its state."""
        found = self.all_for(tenant_id)
        return found[-1] if found else None

    def open_or_failed_for(self, tenant_id: TenantId) -> TenantRequest | None:
        """The latest request for this tenant id that is not DONE."""
        return resumable(self.all_for(tenant_id))

    def _read(self, sql: str, name: str, value: str) -> list[RequestEvent]:
        return [
            _event_of(row) for row in self._bigquery.query(sql, [ScalarQueryParameter(name, "STRING", value)])
        ]


def _row_of(event: RequestEvent) -> dict[str, object]:
    row: dict[str, object | None] = {
        "event_id": event.event_id,
        "request_id": event.request_id,
        "tenant_id": event.tenant_id,
        "kind": str(event.kind),
        "state": str(event.state),
        "parameters": json.dumps(event.parameters.as_json()) if event.parameters else None,
        "actor": event.actor,
        "run_id": event.run_id,
        "reason": event.reason,
        "error_code": str(event.error_code) if event.error_code else None,
        "idempotency_key": event.idempotency_key,
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
        parameters=_parameters_of(row["parameters"]),
        actor=row["actor"] or "",
        run_id=row["run_id"],
        reason=row["reason"],
        error_code=ErrorCode(row["error_code"]) if row["error_code"] else None,
        idempotency_key=row["idempotency_key"],
        attempt=row["attempt"] or 1,
        recorded_at=row["recorded_at"],
    )


def _parameters_of(text: str | None) -> NewTenant | None:
    if text is None:
        return None
    asked = json.loads(text)
    return NewTenant(**{**asked, "tenant_id": TenantId(asked["tenant_id"]), "plan": Plan(asked["plan"])})
