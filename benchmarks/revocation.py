"""How long three API processes under load let in a key that was revoked: `python -m benchmarks.revocation [--times N]`.

Seconds from the end of the append of the revocation to the first refusal, process by process; no other key is ever refused,
or it ends with an exception. Prints rows for docs/benchmarks.md.
"""

import argparse
import asyncio
import statistics
import tempfile
from functools import partial
from pathlib import Path

from convergence_orchestration.settings import load_settings
from convergence_orchestration_tests.api.platform import ControlPlane
from convergence_orchestration_tests.api.processes import api_processes, issue_into, revoke_in
from convergence_orchestration_tests.api.revocation import seconds_until_refused
from convergence_orchestration_tests.emulators import running_local_bigquery, running_local_gcp

PROCESSES = 3
OTHERS = 4


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="Revocation in three processes under load")
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
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
        plane.add_tenants(times * (OTHERS + 1))
        with api_processes(settings, Path(name), PROCESSES) as processes:
            ports = [process.port for process in processes]
            took = [_once(plane, ports) for _ in range(times)]
    print("| process | median s | slowest s |\n| --- | --- | --- |")
    for number, of_process in enumerate(zip(*took, strict=True), start=1):
        print(f"| {number} | {statistics.median(of_process):.2f} | {max(of_process):.2f} |")


def _once(plane: ControlPlane, ports: list[int]) -> list[float]:
    held = [issue_into(plane.bigquery, plane.tenant(), plane.settings) for _ in range(OTHERS + 1)]
    others = [key.text for key in held[1:]]
    revoke = partial(revoke_in, plane.bigquery, held[0])
    return asyncio.run(seconds_until_refused(ports, held[0].text, others, revoke))


if __name__ == "__main__":
    main()
