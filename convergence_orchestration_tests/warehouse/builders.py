"""A warehouse with some of the central tables, and rows for them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.bootstrap import ensure_dataset, ensure_tables
from convergence_orchestration.warehouse.catalogue import central_tables
from convergence_orchestration.warehouse.found import ColumnFacts
from convergence_orchestration.warehouse.model import CENTRAL_DATASET, ColumnMode, TableSpec

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def specs(*names: str) -> list[TableSpec]:
    """The declarations of these central tables."""
    return [spec for spec in central_tables() if spec.name in names]


def connected(settings: Settings) -> BigQuery:
    """BigQuery as these tests ask it: it gives up after five seconds."""
    return BigQuery(bigquery_client(settings), total_seconds=5)


def with_tables(settings: Settings, *names: str) -> BigQuery:
    """The central dataset with these tables and their views."""
    warehouse = connected(settings)
    ensure_dataset(warehouse)
    for _ in ensure_tables(warehouse, specs(*names)):
        pass
    return warehouse


def append_events(warehouse: BigQuery, table: str, *rows: Mapping[str, object]) -> None:
    warehouse.append(CENTRAL_DATASET, table, rows)


def alert(event_id: str) -> dict[str, object]:
    """A row of `alerts` with what is required."""
    return {
        "event_id": event_id,
        "alert_id": "alert_1",
        "rule": "p95",
        "kind": "OPENED",
        "severity": "WARNING",
        "environment": "development",
        "recorded_at": NOON,
    }


def request_event(event_id: str, state: str, seconds: int, **more: object) -> dict[str, object]:
    """A row of `tenant_requests` for request `req_1`, so many seconds after noon."""
    return {
        "event_id": event_id,
        "request_id": "req_1",
        "tenant_id": "acme",
        "kind": "ONBOARD",
        "state": state,
        "recorded_at": NOON + timedelta(seconds=seconds),
        **more,
    }


def key_event(kind: str, seconds: int, **more: object) -> dict[str, object]:
    """A row of `api_key_events` for key `key_1`, so many seconds after noon."""
    return {
        "event_id": f"key_1.{kind}.{seconds}",
        "key_id": "key_1",
        "tenant_id": "acme",
        "kind": kind,
        "environment": "development",
        "recorded_at": NOON + timedelta(seconds=seconds),
        **more,
    }


def facts_of(spec: TableSpec) -> list[ColumnFacts]:
    """A table as INFORMATION_SCHEMA.COLUMNS tells of it when it is as declared."""
    by = spec.partitioning.column if spec.partitioning else None
    return [
        ColumnFacts(
            column.name,
            f"ARRAY<{column.type}>" if column.mode is ColumnMode.REPEATED else str(column.type),
            "NO" if column.mode is ColumnMode.REQUIRED else "YES",
            "YES" if column.name == by else "NO",
            spec.clustering.index(column.name) + 1 if column.name in spec.clustering else None,
        )
        for column in spec.columns
    ]
