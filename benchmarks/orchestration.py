"""What orchestration itself costs a tenant, with Google's calls answered at once, and what a tick of the sensor costs.

    python -m benchmarks.orchestration [--tenants 1000 10000]

The job `fulfil_tenant_requests` runs as Dagster runs it, on an instance on disk, over a BigQuery that answers from memory; the
baseline beside it is the same calls of that BigQuery made by a loop. The sensor's tick is asked of the real local-bigquery, with
three events for each of ten thousand tenants in the log; its baseline is one trivial query.
"""

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
from google.cloud import bigquery as google

from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.gcp.bigquery import BigQuery, Parameters
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.gcp.resources import settings_resources
from convergence_orchestration.settings import Settings, load_settings
from convergence_orchestration.tenancy.asked import NewTenant, RequestKind
from convergence_orchestration.tenancy.launches import FULFIL_JOB
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.request_model import (
    RequestEvent,
    RequestId,
    RequestState,
    new_request_id,
)
from convergence_orchestration.tenancy.requests import TenantRequests
from convergence_orchestration.tenancy.resources import tenancy_resources
from convergence_orchestration.tenancy.sensors import tenant_request_sensor
from convergence_orchestration.warehouse.bootstrap import ensure_dataset, ensure_tables
from convergence_orchestration.warehouse.catalogue import central_tables
from convergence_orchestration_tests.emulators import running_local_bigquery

_TICKS = 10
_IN_LOG = 10_000


class InstantBigQuery(BigQuery):
    """Answers at once, from what was appended: a request that was written down is found, no tenant is there yet."""

    def __init__(self) -> None:
        self.project, self.location, self._api = "benchmark", "US", "http://127.0.0.1:1"
        self.client: Any = SimpleNamespace(close=lambda: None)
        self._events: dict[str, list[dict[str, object]]] = {}

    def query(self, sql: str, params: Parameters = ()) -> list[google.Row]:
        """The requests' events; nothing else is asked for."""
        if "tenant_requests_events" not in sql:
            return []
        found: list[Any] = []
        for request_id in params[0].values:  # type: ignore[union-attr]
            found += self._events.get(request_id, [])
        return found

    def execute(self, sql: str, params: Parameters = ()) -> int:
        """As many rows as were given."""
        return len(params[0].values)  # type: ignore[union-attr]

    def append(self, dataset_id: str, table_id: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Keep the events."""
        nothing = dict.fromkeys(
            ("parameters", "run_id", "reason", "error_code", "idempotency_key", "batch_id", "attempt")
        )
        for row in rows:
            self._events.setdefault(str(row["request_id"]), []).append({**nothing, **row})

    def create_dataset(
        self, dataset_id: str, *, description: str, labels: Mapping[str, str], writer: str = ""
    ) -> bool:
        """It is there now."""
        return True

    def create_table(self, table: google.Table) -> bool:
        """It is there now."""
        return True


class InstantConnection(dg.ConfigurableResource["InstantConnection"]):
    """The resource `bigquery` over an InstantBigQuery."""

    def bigquery(self) -> BigQuery:
        """The one of this process."""
        return _INSTANT


_INSTANT = InstantBigQuery()


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description="What orchestration costs a tenant")
    parser.add_argument("--tenants", type=int, nargs="*", default=[1000, 10_000])
    logging.disable(logging.ERROR)  # Dagster prints each event of a run in this process
    arguments = parser.parse_args()
    print("| tenants in one run | ms a tenant | calls alone, ms a tenant |\n| --- | --- | --- |")
    for count in arguments.tenants:
        print(f"| {count} | {of_a_run(count):.2f} | {of_the_calls(count):.2f} |", flush=True)
    print("\n| a tick of the sensor | ms |\n| --- | --- |")
    with log_of_ten_thousand() as settings:
        for name, milliseconds in of_a_tick(settings).items():
            print(f"| {name} | {milliseconds:.0f} |")


def of_a_run(count: int) -> float:
    """Milliseconds a tenant of a run that makes so many, from its launch in this process to its end."""
    settings = load_settings(_env_file=None, bigquery_tables_per_second=1e9)
    job = build_definitions(settings, {"bigquery": InstantConnection()}).resolve_job_def(FULFIL_JOB)
    request_ids = written_down(TenantRequests(_INSTANT), count)
    with tempfile.TemporaryDirectory() as home, dg.DagsterInstance.local_temp(home) as instance:
        config = {"ops": {"fulfil": {"config": {"request_ids": request_ids}}}}
        begun = time.perf_counter()
        assert job.execute_in_process(run_config=config, instance=instance).success
        return (time.perf_counter() - begun) / count * 1000


def of_the_calls(count: int) -> float:
    """Milliseconds a tenant of the calls that such a run makes, in a loop."""
    begun = time.perf_counter()
    for number in range(count):
        _INSTANT.create_dataset(f"tenant_{number}", description="", labels={})
        for _ in range(5):
            _INSTANT.create_table(google.Table("p.d.t"))
    return (time.perf_counter() - begun) / count * 1000


def written_down(requests: TenantRequests, count: int, *states: RequestState) -> list[RequestId]:
    """So many requests for tenants, a minute old, with these events behind REQUESTED."""
    ids = [new_request_id() for _ in range(count)]
    at = datetime.now(UTC) - timedelta(minutes=1)
    events = [
        RequestEvent(
            request_id,
            TenantId(f"t{request_id[4:24]}"),
            RequestKind.ONBOARD,
            state,
            at,
            "benchmark",
            parameters=NewTenant(TenantId(f"t{request_id[4:24]}"))
            if state is RequestState.REQUESTED
            else None,
        )
        for request_id in ids
        for state in (RequestState.REQUESTED, *states)
    ]
    requests.append(*events)
    return ids


@contextmanager
def log_of_ten_thousand() -> Iterator[Settings]:
    """A local BigQuery whose log has ten thousand requests that are done, and one that waits."""
    with tempfile.TemporaryDirectory() as directory, running_local_bigquery(Path(directory)) as (emulator, _):
        settings = load_settings(
            _env_file=None, bigquery_emulator_host=emulator.rest_url, gcp_project_id="benchmark-project"
        )
        warehouse = BigQuery(bigquery_client(settings))
        ensure_dataset(warehouse)
        list(ensure_tables(warehouse, central_tables()))
        requests = TenantRequests(warehouse)
        written_down(requests, _IN_LOG, RequestState.RUNNING, RequestState.DONE)
        written_down(requests, 1)
        yield settings


def of_a_tick(settings: Settings) -> dict[str, float]:
    """Milliseconds: the median tick that reads the last minutes, the first one that reads everything, one trivial query."""
    resources = {**settings_resources(settings), **tenancy_resources(settings)}
    wanted = {name: resources[name] for name in ("bigquery", "tenant_requests")}
    everything = json.dumps({"since": "1970-01-01T00:00:00+00:00"})
    with tempfile.TemporaryDirectory() as home, dg.DagsterInstance.local_temp(home) as instance:

        def tick() -> None:
            with dg.build_sensor_context(instance=instance, cursor=everything, resources=wanted) as context:
                assert isinstance(tenant_request_sensor(context), dg.SensorResult)

        ticks = [_milliseconds(tick) for _ in range(_TICKS)]
    client = bigquery_client(settings)
    queries = [_milliseconds(lambda: list(client.query_and_wait("SELECT 1"))) for _ in range(_TICKS)]
    return {
        f"median of {_TICKS}, all {_IN_LOG} requests read": statistics.median(ticks),
        "slowest": max(ticks),
        "one trivial query": statistics.median(queries),
    }


def _milliseconds(call: Any) -> float:  # noqa: ANN401 anything without arguments
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1000


if __name__ == "__main__":
    main()
