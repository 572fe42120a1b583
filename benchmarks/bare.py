"""The bare script that onboarding is measured against: the same Google calls, in the same order, and nothing else.

What belongs here: Google's own client, called as an onboarding calls it, in one process that is warm. No API, no Dagster, no
retries, no checks.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.cloud import bigquery
from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter, StructQueryParameter

from convergence_orchestration import tenancy
from convergence_orchestration.tenancy.request_model import new_request_id
from convergence_orchestration.warehouse.catalogue import tenant_tables, to_bigquery

CALLS_AT_ONCE = 4
_SQL = Path(tenancy.__file__).parent
_KINDS = {str: "STRING", int: "INT64", datetime: "TIMESTAMP"}


def onboard_one(client: bigquery.Client, tenant_id: str) -> None:
    """What the API and the run call for one tenant."""
    request_id = new_request_id()
    with ThreadPoolExecutor(2) as pool:  # the API looks
        list(
            pool.map(
                lambda look: look(),
                (lambda: _tenants(client, [tenant_id]), lambda: _history(client, tenant_id)),
            )
        )
    requests: dict[str, str] = {request_id: tenant_id}
    _append(client, "REQUESTED", requests)
    _carry_out(client, requests)


def onboard_many(client: bigquery.Client, tenant_ids: Sequence[str], at_a_time: int = 20) -> None:
    """What the API and the run call for a batch."""
    requests: dict[str, str] = {new_request_id(): tenant_id for tenant_id in tenant_ids}
    _tenants(client, tenant_ids)
    _append(client, "REQUESTED", requests)
    pairs = list(requests.items())
    for start in range(0, len(pairs), at_a_time):
        _carry_out(client, dict(pairs[start : start + at_a_time]))


def _carry_out(client: bigquery.Client, requests: Mapping[str, str]) -> None:
    _select(client, "requests_by_id.sql", "request_ids", list(requests))
    _append(client, "RUNNING", requests)
    _tenants(client, list(requests.values()))
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        list(pool.map(lambda pair: _dataset(client, *pair), requests.items()))
        tables = [(tenant_id, spec) for tenant_id in requests.values() for spec in tenant_tables()]
        list(
            pool.map(
                lambda pair: client.create_table(to_bigquery(pair[1], client.project, f"tenant_{pair[0]}")),
                tables,
            )
        )
    now = datetime.now(UTC)
    limits: dict[str, object] = {"runs_per_day": 6, "concurrent_runs": 3}
    with ThreadPoolExecutor(2) as pool:
        plans = [
            {"tenant_id": tenant_id, "plan": "STARTER", "status": "ACTIVE", **limits, "asked_at": now}
            for tenant_id in requests.values()
        ]
        quotas = [
            {
                "tenant_id": tenant_id,
                **limits,
                "requests_per_minute": 100,
                "requests_per_hour": 1000,
                "asked_at": now,
            }
            for tenant_id in requests.values()
        ]
        list(
            pool.map(
                lambda merge: _merge(client, *merge),
                (("merge_subscriptions.sql", plans), ("merge_quotas.sql", quotas)),
            )
        )
    profiles = [
        {
            **dict.fromkeys(("company_name", "description", "admin_email", "principal"), ""),
            "tenant_id": tenant_id,
            "state": "ACTIVE",
            "plan": "STARTER",
            "dataset_id": f"tenant_{tenant_id}",
            "request_id": request_id,
            "state_asked_at": now,
            "written_at": now,
        }
        for request_id, tenant_id in requests.items()
    ]
    _merge(client, "activate_profiles.sql", profiles)
    _append(client, "DONE", requests)


def _dataset(client: bigquery.Client, request_id: str, tenant_id: str) -> None:
    dataset = bigquery.Dataset(f"{client.project}.tenant_{tenant_id}")
    dataset.labels = {"managed_by": "benchmark", "request_id": request_id, "tenant_id": tenant_id}
    client.create_dataset(dataset)


def _tenants(client: bigquery.Client, tenant_ids: Sequence[str]) -> None:
    _select(client, "tenants_by_id.sql", "tenant_ids", tenant_ids)


def _history(client: bigquery.Client, tenant_id: str) -> None:
    _select(client, "requests_by_tenant.sql", "tenant_ids", [tenant_id])


def _select(client: bigquery.Client, file: str, name: str, values: Sequence[str]) -> None:
    config = bigquery.QueryJobConfig(query_parameters=[ArrayQueryParameter(name, "STRING", list(values))])
    list(client.query_and_wait((_SQL / file).read_text("utf-8"), job_config=config))


def _append(client: bigquery.Client, state: str, requests: Mapping[str, str]) -> None:
    rows = [
        {
            "event_id": f"{request_id}.1.{state}",
            "request_id": request_id,
            "tenant_id": tenant_id,
            "kind": "ONBOARD",
            "state": state,
            "recorded_at": datetime.now(UTC).isoformat(),
        }
        for request_id, tenant_id in requests.items()
    ]
    for start in range(0, len(rows), 500):
        some = rows[start : start + 500]
        client.insert_rows_json("tenants.tenant_requests", some, row_ids=[row["event_id"] for row in some])


def _merge(client: bigquery.Client, file: str, rows: Sequence[Mapping[str, Any]]) -> None:
    structs = [
        StructQueryParameter(
            None, *(ScalarQueryParameter(name, _KINDS[type(value)], value) for name, value in row.items())
        )
        for row in rows
    ]
    config = bigquery.QueryJobConfig(query_parameters=[ArrayQueryParameter("rows", "STRUCT", structs)])
    client.query((_SQL / file).read_text("utf-8"), job_config=config).result()
