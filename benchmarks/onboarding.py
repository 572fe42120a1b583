"""Onboarding against a bare script and against Dagster's defaults, on one platform of real processes.

    python -m benchmarks.onboarding [--singles 10] [--instant 10] [--batch 100]

Singles: POST /admin/tenants until ACTIVE, three ways in turn: this platform; the same API and code with a Dagster home that
says nothing, so with Dagster's queue and default launcher; the bare script (`bare.py`) against the same BigQuery. Instant: the same
two ways once more, with a BigQuery that answers at once (`instant_bigquery.py`), so that the way through API and Dagster alone
is left; the bare script makes its calls of the same BigQuery. Batch: one
POST /admin/tenants:batch until every tenant is ACTIVE, between two times as many tenants made by the bare script; all are
deleted again in between, because local-bigquery slows as it fills. What is to be looked at are the ratios.
"""

import argparse
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from google.cloud import bigquery

from benchmarks.bare import onboard_many, onboard_one
from benchmarks.instant_bigquery import PROJECT, instant_bigquery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.launching.stopping import stop as stop_fork_server
from convergence_orchestration.settings import load_settings
from convergence_orchestration_tests.e2e.platform import Platform, free_base_port

PATIENCE_SECONDS = 900.0
_SETTINGS = """\
TENANT_CREATIONS_PER_MINUTE=10000
BIGQUERY_TABLES_PER_SECOND=1000
"""
"""The limits that protect the real BigQuery are out of the way: local-bigquery has no quotas, nor has the bare script."""
_LOOK_SECONDS = 3  # looking is a query, which takes its time from what is measured
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Api:
    """An API and its administrators' key."""

    url: str
    key: str

    def post(self, path: str, body: object) -> httpx.Response:
        """POST below /api/v1/admin; raises for any answer but a success."""
        answer = httpx.post(
            f"{self.url}/api/v1/admin{path}",
            json=body,
            headers={"X-Admin-Key": self.key, "Prefer": "wait=600"},
            timeout=PATIENCE_SECONDS,
        )
        answer.raise_for_status()
        return answer

    def get(self, path: str) -> dict[str, object]:
        """GET below /api/v1/admin."""
        answer = httpx.get(
            f"{self.url}/api/v1/admin{path}", headers={"X-Admin-Key": self.key}, timeout=PATIENCE_SECONDS
        )
        answer.raise_for_status()
        body: dict[str, object] = answer.json()
        return body

    def look(self, path: str) -> dict[str, object] | None:
        """The same; None while the platform is too busy to tell."""
        try:
            return self.get(path)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                raise
            return None


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description="Onboarding against a bare script and Dagster's defaults")
    parser.add_argument("--singles", type=int, default=10)
    parser.add_argument("--instant", type=int, default=10)
    parser.add_argument("--batch", type=int, default=100)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    if arguments.instant:
        instant(arguments.instant)
    if not arguments.singles and not arguments.batch:
        return
    with running_platform() as platform:
        api = Api(platform.api_url, platform.admin_key)
        api.post("/bootstrap", {})
        if arguments.singles:
            with dagster_as_it_comes(platform) as plain:
                client = platform.bigquery()
                print("\nBigQuery: local-bigquery, three processes more ask it all the time\n")
                singles(client, api, plain, arguments.singles)
        if arguments.batch:
            batch(platform, api, arguments.batch)


def instant(repeats: int) -> None:
    """Tenants one at a time against a BigQuery that answers at once."""
    ours = (_ROOT / "dagster.yaml").read_text("utf-8")
    with instant_bigquery() as url:
        asked: dict[str, str] = {
            "BIGQUERY_EMULATOR_HOST": url,
            "GCP_PROJECT_ID": PROJECT,
            **dict.fromkeys(
                ("KMS_EMULATOR_HOST", "SECRET_MANAGER_EMULATOR_HOST"), "127.0.0.1:1"
            ),  # never asked
        }
        client = bigquery_client(
            load_settings(_env_file=None, bigquery_emulator_host=url, gcp_project_id=PROJECT)
        )
        with (
            api_and_dagster(ours, **asked) as api,
            api_and_dagster("telemetry: {enabled: false}\n", **asked) as plain,
        ):
            print("BigQuery: a stand-in that answers at once\n")
            singles(client, api, plain, repeats)


def singles(client: bigquery.Client, api: Api, plain: Api, repeats: int) -> None:
    """Tenants one at a time, by turns."""
    ways: dict[str, Callable[[str], object]] = {
        "this platform": lambda tenant_id: api.post("/tenants", {"tenant_id": tenant_id}),
        "Dagster's defaults": lambda tenant_id: plain.post("/tenants", {"tenant_id": tenant_id}),
        "bare script": lambda tenant_id: onboard_one(client, tenant_id),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(-1, repeats):  # the first turn warms up and is not counted
        for number, (way, onboard) in enumerate(ways.items()):
            tenant_id = f"single_{turn + 1}_{number}"
            begun = time.perf_counter()
            onboard(tenant_id)
            if turn >= 0:
                seconds[way].append(time.perf_counter() - begun)
            client.delete_dataset(
                f"tenant_{tenant_id}", delete_contents=True
            )  # every table slows local-bigquery
    print("| one tenant | p50 s | p95 s | ratio to the bare script |\n| --- | --- | --- | --- |")
    bare = statistics.median(seconds["bare script"])
    for way, measured in seconds.items():
        p50 = statistics.median(measured)
        p95 = sorted(measured)[int(len(measured) * 0.95)]
        print(f"| {way} | {p50:.2f} | {p95:.2f} | {p50 / bare:.2f} |")


def batch(platform: Platform, api: Api, count: int) -> None:
    """As many tenants by a batch as by the bare script, which has a turn before it and one after it."""
    client = platform.bigquery()

    def bare(name: str) -> float:
        tenant_ids = [f"{name}_{number}" for number in range(count)]
        begun = time.perf_counter()
        onboard_many(client, tenant_ids)
        seconds = time.perf_counter() - begun
        forget(client, tenant_ids)
        return seconds

    before = bare("before")
    begun = time.perf_counter()
    made = api.post("/tenants:batch", {"tenants": [{"tenant_id": f"batch_{n}"} for n in range(count)]}).json()
    path = f"/tenant-batches/{made['batch_id']}"
    while not (progress := api.look(path)) or not progress["is_finished"]:
        time.sleep(_LOOK_SECONDS)
    ours = time.perf_counter() - begun
    if progress["failures"]:
        raise ValueError(progress["failures"])
    forget(client, [f"batch_{number}" for number in range(count)])
    bare_rate, our_rate = 2 * count / (before + bare("after")), count / ours
    print(f"\n| a batch of {count} | tenants/s | ratio |\n| --- | --- | --- |")
    print(f"| bare script, same concurrency | {bare_rate:.2f} | 1 |")
    print(f"| this platform | {our_rate:.2f} | {our_rate / bare_rate:.2f} |")


def forget(client: bigquery.Client, tenant_ids: Iterable[str]) -> None:
    """Delete the tenants' datasets: every table slows local-bigquery."""
    for tenant_id in tenant_ids:
        client.delete_dataset(f"tenant_{tenant_id}", delete_contents=True)


@contextmanager
def running_platform() -> Iterator[Platform]:
    """A platform of its own, which is stopped and removed at the end."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / ".env").write_text(_SETTINGS, encoding="utf-8")
        platform = Platform(Path(directory) / "platform", free_base_port())
        platform.up()
        try:
            yield platform
        finally:
            platform.down()


@contextmanager
def dagster_as_it_comes(platform: Platform) -> Iterator[Api]:
    """The same code and emulators behind a Dagster with an empty dagster.yaml, and an API that asks it."""
    settings = platform.settings
    with api_and_dagster(
        "telemetry: {enabled: false}\n",
        BIGQUERY_EMULATOR_HOST=str(settings.bigquery_emulator_host),
        KMS_EMULATOR_HOST=str(settings.kms_emulator_host),
        SECRET_MANAGER_EMULATOR_HOST=str(settings.secret_manager_emulator_host),
    ) as api:
        yield api


@contextmanager
def api_and_dagster(dagster_yaml: str, **settings: str) -> Iterator[Api]:
    """Dagster's web server and daemon on a home of their own, and an API in front of them."""
    base = free_base_port()
    key = f"benchmark-{secrets.token_hex(16)}"
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "dagster.yaml").write_text(dagster_yaml, encoding="utf-8")
        environment = {
            **os.environ,
            **settings,
            "DAGSTER_HOME": home,
            "DAGSTER_URL": f"http://127.0.0.1:{base + 1}",
            "API_HOST": "127.0.0.1",
            "API_PORT": str(base),
            "ADMIN_API_KEY": key,
            "TENANT_CREATIONS_PER_MINUTE": "10000",
            "LOG_LEVEL": "WARNING",
        }
        commands = (
            (
                "dagster_webserver",
                "-h",
                "127.0.0.1",
                "-p",
                str(base + 1),
                "-w",
                str(_ROOT / "workspace.yaml"),
            ),
            ("dagster._daemon", "run", "-w", str(_ROOT / "workspace.yaml")),
            ("convergence_orchestration.api",),
        )
        started: list[subprocess.Popen[bytes]] = []
        try:
            for command in commands:
                started.append(
                    subprocess.Popen(
                        [sys.executable, "-m", *command],
                        cwd=home,
                        env=environment,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                    )
                )
                time.sleep(10)  # two processes that make Dagster's tables at once fail
            _wait_until_ready(f"http://127.0.0.1:{base}/health/ready")
            yield Api(f"http://127.0.0.1:{base}", key)
        finally:
            stop_fork_server(Path(home))
            for process in reversed(started):
                process.terminate()
            for process in started:
                process.wait(60)


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=10).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(1)
    raise TimeoutError(url)


if __name__ == "__main__":
    main()
