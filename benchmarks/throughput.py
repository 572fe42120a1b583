"""Authenticated requests a second against the same process' bare endpoint: `python -m benchmarks.throughput [--rounds N]`.

One API process with its real middleware, log line and metrics; GET /api/v1/tenants/me with keys of several tenants against
GET /health/live, by turns, from one client over raw sockets whose own share of a core is printed. What counts is the ratio.
"""

import argparse
import asyncio
import resource
import statistics
import tempfile
from pathlib import Path

import psutil

from convergence_orchestration.settings import load_settings
from convergence_orchestration_tests.api.platform import ControlPlane
from convergence_orchestration_tests.api.processes import ME, ApiProcess, api_processes, issue_many_into
from convergence_orchestration_tests.api.raw_http import Load, request
from convergence_orchestration_tests.emulators import running_local_bigquery, running_local_gcp

BARE = "/health/live"
TENANTS = 2_500
"""So many share the load that none of them meets its plan's limits, which are counted as ever."""
WARM_UP_SECONDS = 2.0


def main() -> None:
    """Measure, and print rows for docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description="Authenticated requests against a bare endpoint")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        measure(Path(directory), arguments.rounds, arguments.seconds)


def measure(directory: Path, rounds: int, seconds: float) -> None:
    """One platform, one API process, rounds by turns."""
    with (
        running_local_bigquery(directory / "bigquery") as (bigquery, _),
        running_local_gcp(directory / "gcp") as (gcp, _),
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
        plane.add_tenants(TENANTS)
        keys = issue_many_into(plane.bigquery, plane.unused_tenants, settings)
        authenticated = [request(ME, (b"X-API-Key", key.encode())) for key in keys]
        with api_processes(settings, directory) as (api,):
            report(*asyncio.run(by_turns(api, authenticated, rounds, seconds)))


async def by_turns(
    api: ApiProcess, authenticated: list[bytes], rounds: int, seconds: float
) -> tuple[list[float], list[float], float]:
    """Answers a second of the bare endpoint and of the authenticated one, and the client's share of a core."""
    bare_requests = [request(BARE)]
    await Load(api.port).run(bare_requests, WARM_UP_SECONDS)
    await Load(api.port).run(authenticated, WARM_UP_SECONDS)
    bare: list[float] = []
    known: list[float] = []
    used, server = resource.getrusage(resource.RUSAGE_SELF).ru_utime, psutil.Process(api.pid).cpu_times().user
    for _ in range(rounds):
        for requests, rates in ((bare_requests, bare), (authenticated, known)):
            load = Load(api.port)
            rates.append(await load.run(requests, seconds))
            assert set(load.statuses) == {200}, load.statuses
    client = resource.getrusage(resource.RUSAGE_SELF).ru_utime - used
    share = client / max(0.001, psutil.Process(api.pid).cpu_times().user - server)
    return bare, known, share


def report(bare: list[float], known: list[float], share: float) -> None:
    """The rows."""
    ratios = [one / other for one, other in zip(known, bare, strict=True)]
    print(f"| `GET {BARE}` | {statistics.median(bare):,.0f} | 1.00 |")
    print(f"| `GET {ME}` | {statistics.median(known):,.0f} | {statistics.median(ratios):.2f} |")
    print(f"ratios of the rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    print(f"the client used {share:.0%} of the processor time that the server used")


if __name__ == "__main__":
    main()
