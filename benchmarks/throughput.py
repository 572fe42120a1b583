"""Authenticated requests a second against the same process' bare endpoint: `python -m benchmarks.throughput [--rounds N]`.

One API process with its real middleware, log line and metrics; GET /api/v1/tenants/me with keys of several tenants against
GET /health/live, by turns, from one client over raw sockets whose own share of a core is printed. What counts is the ratio.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass, field
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
    parser.add_argument("--seconds", type=float, default=10.0)
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


@dataclass
class Rates:
    """What the rounds of one endpoint gave."""

    a_second: list[float] = field(default_factory=list)
    microseconds: list[float] = field(default_factory=list)
    """The server's processor time for one answer."""

    async def add(self, api: ApiProcess, requests: list[bytes], seconds: float) -> None:
        """One round."""
        load, server = Load(api.port), psutil.Process(api.pid)
        before = sum(server.cpu_times()[:2])
        self.a_second.append(await load.run(requests, seconds))
        self.microseconds.append((sum(server.cpu_times()[:2]) - before) / load.done * 1e6)
        assert set(load.statuses) == {200}, load.statuses


async def by_turns(
    api: ApiProcess, authenticated: list[bytes], rounds: int, seconds: float
) -> tuple[Rates, Rates, float]:
    """The bare endpoint, the authenticated one, and the client's share of a core."""
    bare, known = Rates(), Rates()
    await Rates().add(api, [request(BARE)], WARM_UP_SECONDS)
    await Rates().add(api, authenticated, WARM_UP_SECONDS)
    began, used = time.monotonic(), time.process_time()
    for _ in range(rounds):
        await bare.add(api, [request(BARE)], seconds)
        await known.add(api, authenticated, seconds)
    return bare, known, (time.process_time() - used) / (time.monotonic() - began)


def report(bare: Rates, known: Rates, share: float) -> None:
    """The rows: medians over the rounds, and the median of the rounds' ratios."""
    ratios = [one / other for one, other in zip(known.a_second, bare.a_second, strict=True)]
    costs = [other / one for one, other in zip(known.microseconds, bare.microseconds, strict=True)]
    print("| endpoint | answers a second | ratio | server's processor time, us | ratio |")
    print("| --- | --- | --- | --- | --- |")
    for name, rates, ratio, cost in (
        (BARE, bare, 1.0, 1.0),
        (ME, known, statistics.median(ratios), statistics.median(costs)),
    ):
        rate, spent = statistics.median(rates.a_second), statistics.median(rates.microseconds)
        print(f"| `GET {name}` | {rate:,.0f} | {ratio:.2f} | {spent:.0f} | {cost:.2f} |")
    print(f"ratios of the rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    print(f"the client used {share:.0%} of a core")


if __name__ == "__main__":
    main()
