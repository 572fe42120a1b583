"""Hostile X-API-Key headers against a live API process: `python -m benchmarks.fuzz_keys [--count N] [--seed N]`.

Ends with status 1 if anything but a refusal came back, or if the process died. Prints how often each status came.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import psutil

from convergence_orchestration.settings import load_settings
from convergence_orchestration_tests.api.header_fuzz import Fuzz, send
from convergence_orchestration_tests.api.platform import ControlPlane
from convergence_orchestration_tests.api.processes import api_processes, issue_into, revoke_in
from convergence_orchestration_tests.emulators import running_local_bigquery, running_local_gcp

REFUSALS = {400, 401, 431}


def main() -> int:
    """Send them; 0 if each was refused."""
    parser = argparse.ArgumentParser(description="Hostile X-API-Key headers")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=4)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        running_local_bigquery(Path(name) / "bigquery") as (bigquery, _),
        running_local_gcp(Path(name) / "gcp") as (gcp, _),
    ):
        settings = load_settings(
            _env_file=None,
            gcp_project_id="convergence-benchmark",
            bigquery_emulator_host=bigquery.rest_url,
            kms_emulator_host=gcp.grpc_address,
            secret_manager_emulator_host=gcp.grpc_address,
        )
        plane = ControlPlane(settings)
        plane.bootstrap()
        plane.add_tenants(1)
        revoked = issue_into(plane.bigquery, plane.tenant(), settings)
        revoke_in(plane.bigquery, revoked)
        with api_processes(settings, Path(name)) as (api,):
            before = psutil.Process(api.pid).memory_info().rss
            began = time.monotonic()
            statuses = asyncio.run(send(api.port, Fuzz(arguments.seed, [revoked.text]), arguments.count))
            lasted = time.monotonic() - began
            grown = (psutil.Process(api.pid).memory_info().rss - before) / 2**20
    print("| status | answers |\n| --- | --- |")
    for status, answers in sorted(statuses.items()):
        print(f"| {status} | {answers:,} |")
    print(
        f"{arguments.count:,} in {lasted:.0f} s, seed {arguments.seed}; the process grew by {grown:.0f} MiB"
    )
    return 0 if statuses.keys() <= REFUSALS else 1


if __name__ == "__main__":
    sys.exit(main())
