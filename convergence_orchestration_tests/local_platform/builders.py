"""Tiny services, records and directories for tests of the supervisor; each service is a real process."""

import asyncio
import os
import sys
import textwrap
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import psutil

from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.model import PlatformRecord, ServiceName
from convergence_orchestration.local_platform.probes import NotReady, Probe
from convergence_orchestration.local_platform.processes import PLATFORM_ID_VARIABLE
from convergence_orchestration.local_platform.services import Service, Stops
from convergence_orchestration.local_platform.supervisor import Patience, Supervisor

LOADED_MACHINE_SECONDS = 30.0
"""How long a test waits for what takes a moment."""

SLEEP = "import time; time.sleep(600)"

QUICK = Patience(
    readiness=LOADED_MACHINE_SECONDS,
    between_probes=0.02,
    first_pause=0.02,
    longest_pause=0.1,
    grace=LOADED_MACHINE_SECONDS,
)


def a_directory(path: Path) -> DataDirectory:
    directory = DataDirectory.at(path)
    directory.create()
    return directory


def a_record(**fields: object) -> PlatformRecord:
    record = PlatformRecord(
        platform_id=uuid.uuid4().hex, base_port=8000, api_port_setting=8000, api_host="127.0.0.1"
    )
    return replace(record, **fields)  # type: ignore[arg-type]


def a_service(
    name: ServiceName,
    platform: PlatformRecord,
    code: str = SLEEP,
    *,
    probe: Probe | None = None,
    is_step: bool = False,
    needs: frozenset[ServiceName] = frozenset(),
    stops: Stops = Stops.SECOND,
) -> Service:
    """A Python process that runs `code`; ready at once unless a probe says else."""
    environment = {**os.environ, PLATFORM_ID_VARIABLE: platform.platform_id}
    command = (sys.executable, "-c", textwrap.dedent(code))
    chosen = probe if is_step else probe or ready_at_once
    return Service(name, command, environment, chosen, is_step=is_step, needs=needs, stops=stops)


def deaf(file: Path) -> str:
    """Code of a process that makes `file` and then ignores SIGTERM for ever."""
    return f"""
        import pathlib, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        pathlib.Path({str(file)!r}).touch()
        time.sleep(600)
    """


def is_gone(pid: int) -> bool:
    """The process has ended, whether or not anyone has asked how."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def ready_at_once(_client: httpx.AsyncClient, _started: float) -> None:
    """A probe."""


def ready_when(file: Path) -> Probe:
    """A probe that waits for a file."""

    async def ask(_client: httpx.AsyncClient, _started: float) -> None:
        _require_file(file)

    return ask


@asynccontextmanager
async def supervised(
    directory: DataDirectory, platform: PlatformRecord, *services: Service, patience: Patience = QUICK
) -> AsyncIterator[Supervisor]:
    """A running supervisor; stopped at the end.

    The record names no supervisor: it would be the tests' own process, whose other children are no part of a platform
    and would be ended with it.
    """
    supervisor = Supervisor(services, directory, platform, patience)
    running = asyncio.create_task(supervisor.run())
    try:
        yield supervisor
    finally:
        supervisor.stop()
        await running


async def until(fact: Callable[[], object], seconds: float = LOADED_MACHINE_SECONDS) -> None:
    """Wait until `fact` is true."""
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


def wait_until(fact: Callable[[], object], seconds: float = LOADED_MACHINE_SECONDS) -> None:
    """The same outside a loop."""
    asyncio.run(until(fact, seconds))


def _require_file(file: Path) -> None:
    if not file.exists():
        raise NotReady(f"no {file.name} yet")
