"""A BigQuery that answers at once: what is appended to the log of requests is found again, and nothing else is kept.

What belongs here: the REST answers that an onboarding asks for. It shows what the way through API and Dagster costs, and is no
emulator: every statement affects one row, every table is empty.
"""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from convergence_orchestration.warehouse.catalogue import central_tables
from convergence_orchestration_tests.emulators import free_port

PROJECT = "convergence-instant"
_BASE = "/bigquery/v2/projects/{project}"
_COLUMNS = [
    (column.name, str(column.type))
    for table in central_tables()
    if table.name == "tenant_requests"
    for column in table.columns
    if column.name != "event_id"
]
_EMPTY = {"schema": {"fields": []}, "rows": [], "totalRows": "0", "jobComplete": True}


class Log:
    """The events that were appended, by their request."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}

    async def append(self, request: Request) -> JSONResponse:
        """tabledata.insertAll."""
        for row in (await request.json())["rows"]:
            event = row["json"]
            self.rows.setdefault(event.get("request_id", ""), []).append(event)
        return JSONResponse({})

    async def query(self, request: Request) -> JSONResponse:
        """jobs.query."""
        asked = await request.json()
        found: list[dict[str, Any]] = []
        for parameter in asked.get("queryParameters", []):
            if parameter["name"] == "request_ids":
                for value in parameter["parameterValue"]["arrayValues"]:
                    found += self.rows.get(value["value"], [])
        return JSONResponse(_job("q") | _rows(found) if found else _job("q") | _EMPTY)


def _rows(events: list[dict[str, Any]]) -> dict[str, object]:
    return {
        "schema": {"fields": [{"name": name, "type": kind} for name, kind in _COLUMNS]},
        "rows": [{"f": [{"v": _cell(event.get(name), kind)} for name, kind in _COLUMNS]} for event in events],
        "totalRows": str(len(events)),
        "jobComplete": True,
    }


def _cell(value: Any, kind: str) -> str | None:  # noqa: ANN401 JSON
    if value is None:
        return None
    if kind == "TIMESTAMP":
        return str(int(datetime.fromisoformat(value).timestamp() * 1_000_000))
    return str(value)


def _job(job_id: str) -> dict[str, object]:
    return {"jobReference": {"projectId": PROJECT, "jobId": job_id, "location": "US"}}


async def _insert_job(request: Request) -> JSONResponse:
    """jobs.insert: done at once, one row affected."""
    asked = await request.json()
    reference = asked.get("jobReference") or {"jobId": "j"}
    return JSONResponse(_finished(reference["jobId"], asked.get("configuration") or {}))


async def _get_job(request: Request) -> JSONResponse:
    return JSONResponse(_finished(request.path_params["job"], {"query": {"query": "MERGE"}}))


def _finished(job_id: str, configuration: dict[str, Any]) -> dict[str, object]:
    return {
        **_job(job_id),
        "configuration": {"jobType": "QUERY", **configuration},
        "status": {"state": "DONE"},
        "statistics": {"query": {"numDmlAffectedRows": "1", "statementType": "MERGE"}},
    }


async def _results(request: Request) -> JSONResponse:
    return JSONResponse(_job(request.path_params["job"]) | _EMPTY | {"numDmlAffectedRows": "1"})


async def _made(request: Request) -> JSONResponse:
    """datasets.insert and tables.insert: what was asked for is there."""
    return JSONResponse(await request.json())


async def _empty_table(_request: Request) -> JSONResponse:
    return JSONResponse({"totalRows": "0", "rows": []})


async def _dataset(request: Request) -> JSONResponse:
    reference = {"projectId": PROJECT, "datasetId": request.path_params["dataset"]}
    return JSONResponse({"datasetReference": reference, "location": "US"})


async def _gone(_request: Request) -> JSONResponse:
    return JSONResponse({})


def _application() -> Starlette:
    log = Log()
    return Starlette(
        routes=[
            Route("/healthz", _gone),
            Route(f"{_BASE}/queries", log.query, methods=["POST"]),
            Route(f"{_BASE}/queries/{{job}}", _results),
            Route(f"{_BASE}/jobs", _insert_job, methods=["POST"]),
            Route(f"{_BASE}/jobs/{{job}}", _get_job),
            Route(f"{_BASE}/datasets", _made, methods=["POST"]),
            Route(f"{_BASE}/datasets/{{dataset}}", _dataset),
            Route(f"{_BASE}/datasets/{{dataset}}", _gone, methods=["DELETE"]),
            Route(f"{_BASE}/datasets/{{dataset}}/tables", _made, methods=["POST"]),
            Route(f"{_BASE}/datasets/{{dataset}}/tables/{{table}}/insertAll", log.append, methods=["POST"]),
            Route(f"{_BASE}/datasets/{{dataset}}/tables/{{table}}/data", _empty_table),
        ]
    )


def _serve(port: int) -> None:
    uvicorn.run(_application(), host="127.0.0.1", port=port, log_level="error", access_log=False)


@contextmanager
def instant_bigquery() -> Iterator[str]:
    """Its address, while it runs in a process of its own."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(port,), daemon=True)
    process.start()
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/healthz").raise_for_status()
            break
        except httpx.HTTPError:
            time.sleep(0.1)
    try:
        yield url
    finally:
        process.terminate()
        process.join(10)
