"""Drift over 10,000 tenants: seconds and peak memory of the comparison, against fetching the same pages alone.

A process of its own plays back the answer pages of INFORMATION_SCHEMA.COLUMNS as BigQuery's REST API would send them;
the real Google client reads them. Each measurement is a fresh process. `python benchmarks/drift.py [--tenants N]`
prints rows for docs/benchmarks.md.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import batched
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.gcp.sql import columns_of_region
from convergence_orchestration.settings import load_settings
from convergence_orchestration.tenancy.schema.fleet import drift_of, served_tenants
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration.warehouse.model import Column, ColumnMode, TableSpec

PROJECT = "convergence-benchmark"
PAGE = 10_000
ROUNDS = 3
ONE_LACKS_A_COLUMN_IN = 100
ONE_LACKS_A_TABLE_IN = 500
ONE_IS_MISSING_IN = 2_500
COLUMNS = (
    ("table_schema", "STRING"),
    ("table_name", "STRING"),
    ("column_name", "STRING"),
    ("data_type", "STRING"),
    ("is_nullable", "STRING"),
    ("is_partitioning_column", "STRING"),
    ("clustering_ordinal_position", "INTEGER"),
)

type Cells = tuple[str | None, ...]


def fleet_rows(tenants: int) -> Iterator[Cells]:
    """What BigQuery would answer of a fleet in which some tenants lack a column, a table or everything."""
    for number in range(tenants):
        if number % ONE_IS_MISSING_IN == 1:
            continue
        for spec in tenant_tables():
            if number % ONE_LACKS_A_TABLE_IN == 2 and spec.name == "dq_results":  # noqa: PLR2004 any remainder
                continue
            lacks = number % ONE_LACKS_A_COLUMN_IN == 3 and spec.name == "step_logs"  # noqa: PLR2004
            for column in spec.columns:
                if lacks and column.name == "duration_ms":
                    continue
                yield (f"tenant_t{number:05}", *cells(spec, column))


def cells(spec: TableSpec, column: Column) -> Cells:
    """One column of a table as it is declared."""
    is_partition = spec.partitioning is not None and spec.partitioning.column == column.name
    place = str(spec.clustering.index(column.name) + 1) if column.name in spec.clustering else None
    is_list = column.mode is ColumnMode.REPEATED
    kind = f"ARRAY<{column.type}>" if is_list else str(column.type)
    nullable = "YES" if column.mode is ColumnMode.NULLABLE else "NO"
    return (spec.name, column.name, kind, nullable, "YES" if is_partition else "NO", place)


def expected_differences(tenants: int) -> int:
    """How many differences the comparison has to find."""
    return sum(
        (number % ONE_IS_MISSING_IN == 1)
        + (number % ONE_LACKS_A_TABLE_IN == 2)  # noqa: PLR2004
        + (number % ONE_LACKS_A_COLUMN_IN == 3)  # noqa: PLR2004
        for number in range(tenants)
    )


def pages(job_id: str, columns: tuple[tuple[str, str], ...], rows: Iterator[Cells]) -> list[bytes]:
    """The bodies of one query's answer, ready to be sent."""
    batches = list(batched(rows, PAGE, strict=False))
    total = sum(map(len, batches))
    return [
        json.dumps(
            {
                "kind": "bigquery#queryResponse",
                "jobComplete": True,
                "jobReference": {"projectId": PROJECT, "jobId": job_id, "location": "US"},
                "schema": {"fields": [{"name": name, "type": kind} for name, kind in columns]},
                "totalRows": str(total),
                "rows": [{"f": [{"v": value} for value in row]} for row in batch],
                **({"pageToken": str(number)} if number < len(batches) else {}),
            },
            separators=(",", ":"),
        ).encode()
        for number, batch in enumerate(batches, 1)
    ]


def finished_job(job_id: str) -> bytes:
    """What jobs.get says of a query, which the client asks when its answer has several pages."""
    return json.dumps(
        {
            "kind": "bigquery#job",
            "jobReference": {"projectId": PROJECT, "jobId": job_id, "location": "US"},
            "configuration": {"jobType": "QUERY", "query": {"query": "SELECT", "useLegacySql": False}},
            "status": {"state": "DONE"},
        }
    ).encode()


def serve(tenants: int) -> None:
    """Answer the two queries of the report until the process is ended; the port is the first line printed."""
    answers = {
        "columns": pages("columns", COLUMNS, fleet_rows(tenants)),
        "tenants": pages(
            "tenants", (("tenant_id", "STRING"),), ((f"t{number:05}",) for number in range(tenants))
        ),
    }

    class Playback(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            self._send(answers["columns" if b"INFORMATION_SCHEMA" in asked else "tenants"][0])

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            job_id, asked = url.path.rpartition("/")[2], parse_qs(url.query)
            if "/jobs/" in url.path:
                self._send(finished_job(job_id))
            else:
                self._send(answers[job_id][int(asked.get("pageToken", ["0"])[0])])

        def _send(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: a line for each page would be noise."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Playback)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def measure(kind: str, port: int, tenants: int) -> None:
    """One reading of the whole fleet in this process; prints its seconds and peak memory."""
    settings = load_settings(
        _env_file=None, gcp_project_id=PROJECT, bigquery_emulator_host=f"http://127.0.0.1:{port}"
    )
    bigquery = BigQuery(bigquery_client(settings))
    began = time.perf_counter()
    if kind == "compare":
        drift = drift_of(bigquery, served_tenants(bigquery))
        rows = drift.columns
        found = sum(len(each.differences) for each in drift.drifting)
        if found != expected_differences(tenants):
            raise SystemExit(f"{found} differences found, {expected_differences(tenants)} made")
    else:
        rows = sum(1 for _ in bigquery.stream(columns_of_region(PROJECT, "US")))
    seconds = time.perf_counter() - began
    mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "mebibytes": mebibytes, "rows": rows}))


def run(tenants: int) -> None:
    """Both measurements by turns, their medians as Markdown."""
    script = [sys.executable, str(Path(__file__).resolve()), "--tenants", str(tenants)]
    with subprocess.Popen([*script, "--serve"], stdout=subprocess.PIPE, text=True) as server:
        try:
            port = (server.stdout.readline() if server.stdout else "").strip()
            taken: dict[str, list[dict[str, float]]] = {"fetch": [], "compare": []}
            for _ in range(ROUNDS):
                for kind, results in taken.items():
                    command = [*script, "--measure", kind, "--port", port]
                    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                    results.append(json.loads(answer.stdout))
        finally:
            server.terminate()
    report(tenants, taken)


def report(tenants: int, taken: dict[str, list[dict[str, float]]]) -> None:
    """The medians of the rounds."""
    medians = {
        kind: {name: statistics.median(result[name] for result in results) for name in results[0]}
        for kind, results in taken.items()
    }
    fetch, compare = medians["fetch"], medians["compare"]
    print("| what | tenants | rows | seconds | peak MiB | against fetching alone |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, result in (("pages fetched and parsed, nothing compared", fetch), ("drift", compare)):
        print(
            f"| {name} | {tenants:,} | {result['rows']:,.0f} | {result['seconds']:.1f} | {result['mebibytes']:.0f} "
            f"| {result['seconds'] / fetch['seconds']:.2f} |"
        )


def main() -> None:
    """The benchmark, or one of the processes that it starts."""
    parser = argparse.ArgumentParser(description="Drift over a fleet of tenants.")
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--measure", choices=("fetch", "compare"), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.tenants)
    elif asked.measure:
        measure(asked.measure, asked.port, asked.tenants)
    else:
        run(asked.tenants)


if __name__ == "__main__":
    main()
