"""What an audited call costs: the same calls of the same API with and without their audit rows, turn by turn.

    python -m benchmarks.audit [--rounds 40]

The API runs in this process, over local-bigquery in its own. A read has one row, a change has two; sixteen callers at once
share appends. Without rows means that the writing is replaced by nothing, all else is the same.
"""

import argparse
import asyncio
import logging
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import structlog

from convergence_orchestration.api.app import create_app
from convergence_orchestration.api.audit_writing import ApiAudit
from convergence_orchestration.audit.log import AuditLog
from convergence_orchestration.audit.verification import Verification, anchors_of
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings, load_settings
from convergence_orchestration.warehouse.bootstrap import ensure_dataset, ensure_tables
from convergence_orchestration.warehouse.catalogue import central_tables
from convergence_orchestration_tests.emulators import running_local_bigquery

AT_ONCE = 16
_NOBODY = "127.0.0.1:9"  # neither is asked
READ = ("GET", "/api/v1/admin/tenant-requests?limit=1")
CHANGE = ("POST", f"/api/v1/admin/api-keys/key_{'0' * 20}/reveal")  # looks for a key that is not there

type Call = Callable[[], Awaitable[float]]


async def measured(settings: Settings, rounds: int) -> None:
    """Print the medians."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        audit: ApiAudit = app.state.services.audit
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api", timeout=60) as http:
            await http.get(READ[1])  # opens the chain
            for what, (method, path), callers in (
                ("a read", READ, 1),
                ("a change", CHANGE, 1),
                (f"a read, {AT_ONCE} callers at once", READ, AT_ONCE),
                (f"a change, {AT_ONCE} callers at once", CHANGE, AT_ONCE),
            ):
                without, with_rows = await _in_turn(audit, http, method, path, callers, rounds)
                print(
                    f"| {what} | {without:.0f} | {with_rows:.0f} | {with_rows - without:.0f} | {with_rows / without:.2f} |",
                    flush=True,
                )


async def _in_turn(
    audit: ApiAudit, http: httpx.AsyncClient, method: str, path: str, callers: int, rounds: int
) -> tuple[float, float]:
    """Median milliseconds of a call without and with its rows."""
    record = audit.record
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(2 * rounds):
        is_audited = number % 2 == 1
        audit.record = record if is_audited else _nothing  # type: ignore[method-assign] # what is measured
        taken[is_audited].extend(await asyncio.gather(*(_timed(http, method, path) for _ in range(callers))))
    audit.record = record  # type: ignore[method-assign]
    return statistics.median(taken[0]), statistics.median(taken[1])


async def _timed(http: httpx.AsyncClient, method: str, path: str) -> float:
    started = time.perf_counter()
    answer = await http.request(method, path)
    assert answer.status_code in {200, 404}, answer.text
    return (time.perf_counter() - started) * 1000


async def _nothing(*_: Any) -> None:  # noqa: ANN401
    """Record nothing."""


def verified(warehouse: BigQuery) -> None:
    """Print how long the whole log takes to verify."""
    log, verification = AuditLog(warehouse), Verification()
    started = time.perf_counter()
    verification.expect(anchors_of(log.openings()))
    for row in log.in_order():
        verification.see(row)
    verification.finish()
    assert not verification.findings, verification.findings
    print(f"{verification.rows} rows verified in {time.perf_counter() - started:.2f} s")


def main() -> None:
    """The benchmark."""
    parser = argparse.ArgumentParser(description="What an audited call costs.")
    parser.add_argument("--rounds", type=int, default=40)
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with (
        tempfile.TemporaryDirectory() as directory,
        running_local_bigquery(Path(directory)) as (emulator, _child),
    ):
        settings = load_settings(
            _env_file=None,
            bigquery_emulator_host=emulator.rest_url,
            kms_emulator_host=_NOBODY,
            secret_manager_emulator_host=_NOBODY,
            disable_auth=True,
        )
        warehouse = BigQuery(bigquery_client(settings))
        ensure_dataset(warehouse)
        list(ensure_tables(warehouse, central_tables()))
        print("| call | ms without | ms with its rows | added ms | ratio |\n| --- | --- | --- | --- | --- |")
        asyncio.run(measured(settings, asked.rounds))
        verified(warehouse)


if __name__ == "__main__":
    main()
