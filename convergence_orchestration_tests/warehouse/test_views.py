from datetime import timedelta

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.warehouse.builders import (
    NOON,
    append_events,
    key_event,
    request_event,
    with_tables,
)


def rows_of(warehouse: BigQuery, view: str) -> list[dict[str, object]]:
    sql = {
        "tenant_requests_events": "SELECT * FROM tenants.tenant_requests_events ORDER BY event_id",
        "tenant_requests_current": "SELECT * FROM tenants.tenant_requests_current ORDER BY request_id",
        "api_key_events_deduplicated": "SELECT * FROM tenants.api_key_events_deduplicated ORDER BY event_id",
        "api_keys_current": "SELECT * FROM tenants.api_keys_current ORDER BY key_id",
    }[view]
    return [dict(row) for row in warehouse.query(sql)]


def insert_a_second_copy(warehouse: BigQuery, table: str) -> None:
    """What insertAll does on a bad day: each row is there twice."""
    sql = {
        "tenant_requests": "INSERT INTO tenants.tenant_requests SELECT * FROM tenants.tenant_requests",
        "api_key_events": "INSERT INTO tenants.api_key_events SELECT * FROM tenants.api_key_events",
    }[table]
    warehouse.execute(sql)


def test_an_event_of_a_request_that_is_there_twice_counts_once(settings: Settings) -> None:
    warehouse = with_tables(settings, "tenant_requests")
    append_events(
        warehouse, "tenant_requests", request_event("a", "REQUESTED", 0), request_event("b", "DONE", 1)
    )
    insert_a_second_copy(warehouse, "tenant_requests")

    assert [row["event_id"] for row in rows_of(warehouse, "tenant_requests_events")] == ["a", "b"]


def test_a_request_is_where_its_latest_attempt_is_whatever_the_clocks_say(settings: Settings) -> None:
    warehouse = with_tables(settings, "tenant_requests")
    append_events(
        warehouse,
        "tenant_requests",
        request_event(
            "a", "REQUESTED", 0, parameters='{"plan": "STARTER"}', actor="admin", idempotency_key="once"
        ),
        request_event("b", "RUNNING", -5, attempt=1, run_id="run_1"),
        request_event("c", "FAILED", 9, attempt=1, reason="Try again.", error_code="unavailable"),
        request_event("d", "RUNNING", 3, attempt=2, run_id="run_2"),
        {**request_event("e", "REQUESTED", 1), "request_id": "req_2", "tenant_id": "globex"},
    )

    first, second = rows_of(warehouse, "tenant_requests_current")

    assert first == {
        "request_id": "req_1",
        "tenant_id": "acme",
        "kind": "ONBOARD",
        "state": "RUNNING",
        "attempt": 2,
        "parameters": '{"plan": "STARTER"}',
        "run_id": "run_2",
        "reason": None,
        "error_code": None,
        "actor": "admin",
        "idempotency_key": "once",
        "batch_id": None,
        "requested_at": NOON - timedelta(seconds=5),
        "updated_at": NOON + timedelta(seconds=9),
    }
    assert (second["request_id"], second["state"]) == ("req_2", "REQUESTED")


def test_the_end_of_an_attempt_counts_even_if_its_clock_was_behind(settings: Settings) -> None:
    warehouse = with_tables(settings, "tenant_requests")
    append_events(
        warehouse,
        "tenant_requests",
        request_event("a", "RUNNING", 5, attempt=1, run_id="run_1"),
        request_event("b", "FAILED", 4, attempt=1, reason="Bootstrap first.", error_code="not_bootstrapped"),
    )

    row = rows_of(warehouse, "tenant_requests_current")[0]

    assert (row["state"], row["reason"], row["run_id"]) == ("FAILED", "Bootstrap first.", "run_1")


def test_a_key_is_one_row_with_what_happened_to_it(settings: Settings) -> None:
    warehouse = with_tables(settings, "api_key_events")
    issued = key_event(
        "ISSUED",
        0,
        key_hash="ab" * 32,
        description="Of acme.",
        scopes=["usage:read"],
        expires_at=NOON + timedelta(days=90),
    )
    append_events(warehouse, "api_key_events", issued)
    insert_a_second_copy(warehouse, "api_key_events")

    fresh = rows_of(warehouse, "api_keys_current")
    append_events(
        warehouse,
        "api_key_events",
        key_event("DELIVERED", 1),
        key_event("ROTATED", 2, overlap_ends_at=NOON + timedelta(hours=1)),
        key_event("REVOKED", 3),
        key_event("REVOKED", 4),
    )
    used = rows_of(warehouse, "api_keys_current")

    expected: dict[str, object] = {
        "key_id": "key_1",
        "tenant_id": "acme",
        "key_hash": "ab" * 32,
        "environment": "development",
        "description": "Of acme.",
        "scopes": ["usage:read"],
        "issued_at": NOON,
        "expires_at": NOON + timedelta(days=90),
        "revoked_at": None,
        "delivered_at": None,
        "overlap_ends_at": None,
    }
    assert fresh == [expected]
    assert used == [
        {
            **expected,
            "delivered_at": NOON + timedelta(seconds=1),
            "overlap_ends_at": NOON + timedelta(hours=1),
            "revoked_at": NOON + timedelta(seconds=3),
        }
    ]


def test_a_key_that_was_only_revoked_is_no_key(settings: Settings) -> None:
    warehouse = with_tables(settings, "api_key_events")
    append_events(warehouse, "api_key_events", key_event("REVOKED", 0))

    assert rows_of(warehouse, "api_keys_current") == []
    assert len(rows_of(warehouse, "api_key_events_deduplicated")) == 1
