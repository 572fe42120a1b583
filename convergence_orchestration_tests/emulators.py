"""Session fixtures: both emulators as the real processes, on free ports, and settings that point at them.

What belongs here: starting, probing and stopping them. A worker of pytest-xdist has a pair of its own, started when
first asked for; tests keep apart by a fresh project id, which the fixture `settings` gives each of them.
"""

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings, load_settings
from convergence_orchestration.warehouse.bootstrap import ensure_dataset, ensure_tables
from convergence_orchestration.warehouse.catalogue import central_tables

_ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 60
_STOP_SECONDS = 15


@dataclass(frozen=True)
class Emulator:
    """A running emulator: the port of its REST answers, of gRPC where it speaks that, and the faults file it reads."""

    rest_port: int
    data_dir: Path
    grpc_port: int = 0

    @property
    def faults_file(self) -> Path:
        return self.data_dir / "faults.yaml"

    @property
    def grpc_address(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.rest_port}"


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fresh_project_id() -> str:
    """A valid Google Cloud project id that no other test uses."""
    return f"test-{uuid.uuid4().hex[:20]}"


@contextmanager
def running_local_gcp(data_dir: Path) -> Iterator[tuple[Emulator, subprocess.Popen[bytes]]]:
    """The KMS and Secret Manager process on `data_dir`, ready; stopped at the end if it still runs."""
    emulator = Emulator(rest_port=free_port(), grpc_port=free_port(), data_dir=data_dir)
    command = ["convergence_orchestration.local_gcp.server", "--grpc-port", str(emulator.grpc_port)]
    command += ["--rest-port", str(emulator.rest_port), "--data-dir", str(data_dir)]
    with _running(command, emulator) as child:
        yield emulator, child


@contextmanager
def running_local_bigquery(data_dir: Path) -> Iterator[tuple[Emulator, subprocess.Popen[bytes]]]:
    """The BigQuery process on `data_dir`, ready; stopped at the end if it still runs."""
    emulator = Emulator(rest_port=free_port(), data_dir=data_dir)
    command = ["convergence_orchestration.local_gcp.bigquery", "--port", str(emulator.rest_port)]
    with _running([*command, "--data-dir", str(data_dir)], emulator) as child:
        yield emulator, child


@pytest.fixture(scope="session")
def local_gcp() -> Iterator[Emulator]:
    with in_memory() as directory, running_local_gcp(directory) as (emulator, _):
        yield emulator


@pytest.fixture(scope="session")
def local_bigquery() -> Iterator[Emulator]:
    with in_memory() as directory, running_local_bigquery(directory) as (emulator, _):
        yield emulator


class EmulatedSettings:
    """Settings that point at both emulators; called with a project id and further fields."""

    def __init__(self, local_gcp: Emulator, local_bigquery: Emulator) -> None:
        self._fixed = {
            "bigquery_emulator_host": local_bigquery.rest_url,
            "kms_emulator_host": local_gcp.grpc_address,
            "secret_manager_emulator_host": local_gcp.grpc_address,
        }

    def __call__(self, project_id: str, **overrides: object) -> Settings:
        return load_settings(_env_file=None, gcp_project_id=project_id, **{**self._fixed, **overrides})


@pytest.fixture(scope="session")
def emulated_settings(local_gcp: Emulator, local_bigquery: Emulator) -> EmulatedSettings:
    return EmulatedSettings(local_gcp, local_bigquery)


@pytest.fixture
def settings(emulated_settings: EmulatedSettings) -> Iterator[Settings]:
    """Settings for one test alone: emulated, with a project id of its own, whose datasets go when the test ends.

    local-bigquery gets slower with every table that it holds.
    """
    settings = emulated_settings(fresh_project_id())
    yield settings
    client = bigquery_client(settings)
    for dataset in client.list_datasets():
        client.delete_dataset(dataset.reference, delete_contents=True)
    client.close()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="session")
def project(emulated_settings: EmulatedSettings) -> Settings:
    """Settings of a bootstrapped project which the tests of one worker share; each takes a tenant of its own."""
    settings = emulated_settings(fresh_project_id())
    warehouse = BigQuery(bigquery_client(settings))
    ensure_dataset(warehouse)
    list(ensure_tables(warehouse, central_tables()))
    return settings


@pytest.fixture(scope="session")
def bigquery(project: Settings) -> BigQuery:
    """The shared bootstrapped project's BigQuery."""
    return BigQuery(bigquery_client(project))


@contextmanager
def in_memory() -> Iterator[Path]:
    """A directory that is gone afterwards, in memory where the machine has such: an emulator syncs at each change."""
    memory = Path("/dev/shm")  # noqa: S108 a directory of our own in it
    parent = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@contextmanager
def _running(command: list[str], emulator: Emulator) -> Iterator[subprocess.Popen[bytes]]:
    emulator.data_dir.mkdir(parents=True, exist_ok=True)
    log = emulator.data_dir / "process.log"
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdout=output,
            stderr=output,
            cwd=_ROOT,
        )
    try:
        _wait_until_ready(child, emulator.rest_port, log)
        yield child
    finally:
        stop(child)


def stop(child: subprocess.Popen[bytes]) -> int:
    """End one child by its pid, kindly and then not; its exit status."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    try:
        return child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def _wait_until_ready(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise RuntimeError(f"The emulator ended with {child.returncode}: {log.read_text()[-2000:]}")
        if _is_ready(port):
            return
        time.sleep(0.05)
    raise RuntimeError(f"The emulator was not ready within {_START_SECONDS} s: {log.read_text()[-2000:]}")


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()
