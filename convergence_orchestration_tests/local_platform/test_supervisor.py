import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest

from convergence_orchestration.local_platform import log_files, record
from convergence_orchestration.local_platform.model import (
    PlatformRecord,
    PlatformState,
    ServiceName,
    ServiceState,
)
from convergence_orchestration.local_platform.processes import PLATFORM_ID_VARIABLE
from convergence_orchestration.local_platform.services import Stops
from convergence_orchestration.local_platform.supervisor import Patience, Supervisor
from convergence_orchestration_tests.local_platform.builders import (
    QUICK,
    SLEEP,
    a_directory,
    a_record,
    a_service,
    deaf,
    is_gone,
    ready_when,
    supervised,
    until,
)

API, BIGQUERY, ADMIN_KEY = ServiceName.API, ServiceName.BIGQUERY, ServiceName.ADMIN_KEY
DAEMON = ServiceName.DAEMON

pytestmark = pytest.mark.anyio


def pid_of(supervisor: Supervisor, name: ServiceName) -> int:
    identity = supervisor.platform.services[name].identity
    assert identity is not None
    return identity.pid


def has_restarted(supervisor: Supervisor, times: int) -> bool:
    return supervisor.platform.services[API].restarts == times


def is_running(supervisor: Supervisor) -> bool:
    return supervisor.platform.state is PlatformState.RUNNING


async def test_services_start_when_what_they_need_is_healthy(tmp_path: Path) -> None:
    directory, platform = a_directory(tmp_path), a_record()
    file = tmp_path / "ready"
    first = a_service(BIGQUERY, platform, probe=ready_when(file))
    second = a_service(API, platform, needs=frozenset({BIGQUERY}))

    async with supervised(directory, platform, first, second) as supervisor:
        await until(lambda: "no ready yet" in supervisor.platform.services[BIGQUERY].detail)
        assert supervisor.platform.services[API].state is ServiceState.WAITING
        file.touch()
        await until(lambda: is_running(supervisor))

        api = supervisor.platform.services[API]
        assert api.state is ServiceState.HEALTHY
        assert api.seconds is not None
        assert record.read(directory) == supervisor.platform
    assert record.read(directory) == supervisor.platform
    assert supervisor.platform.state is PlatformState.STOPPED


async def test_a_probe_is_not_asked_before_its_turn(tmp_path: Path) -> None:
    directory, platform = a_directory(tmp_path), a_record()
    asked: list[str] = []

    async def ask(_client: httpx.AsyncClient, _started: float) -> None:
        asked.append("api")

    file = tmp_path / "ready"
    first = a_service(BIGQUERY, platform, probe=ready_when(file))
    second = replace(a_service(API, platform, probe=ask), asked_after=frozenset({BIGQUERY}))

    async with supervised(directory, platform, first, second) as supervisor:
        await until(lambda: supervisor.platform.services[BIGQUERY].detail)
        assert supervisor.platform.services[API].state is ServiceState.STARTING
        assert not asked
        file.touch()
        await until(lambda: is_running(supervisor))
    assert asked


async def test_a_killed_service_is_started_again_and_counted(tmp_path: Path) -> None:
    directory, platform = a_directory(tmp_path), a_record()

    async with supervised(directory, platform, a_service(API, platform)) as supervisor:
        await until(lambda: is_running(supervisor))
        for times in (1, 2):
            first = pid_of(supervisor, API)
            os.kill(first, signal.SIGKILL)
            await until(partial(has_restarted, supervisor, times))
            await until(lambda: supervisor.platform.services[API].state is ServiceState.HEALTHY)
            assert pid_of(supervisor, API) != first


async def test_what_is_called_once_healthy_is_called_once_a_start(tmp_path: Path) -> None:
    directory, platform = a_directory(tmp_path), a_record()
    starts: list[float] = []

    async def once(_client: httpx.AsyncClient, started: float) -> None:
        starts.append(started)

    service = replace(a_service(API, platform), once_healthy=once)

    async with supervised(directory, platform, service) as supervisor:
        await until(lambda: is_running(supervisor))
        os.kill(pid_of(supervisor, API), signal.SIGKILL)
        await until(lambda: supervisor.platform.services[API].restarts == 1)
        await until(lambda: supervisor.platform.services[API].state is ServiceState.HEALTHY)
    assert len(starts) == 2
    assert starts == sorted(starts)


async def test_a_step_is_done_when_its_process_has_ended_well(tmp_path: Path) -> None:
    directory, platform = a_directory(tmp_path), a_record()
    step = a_service(ADMIN_KEY, platform, "print('made')", is_step=True)
    service = a_service(API, platform, needs=frozenset({ADMIN_KEY}))

    async with supervised(directory, platform, step, service) as supervisor:
        await until(lambda: is_running(supervisor))
        assert supervisor.platform.services[ADMIN_KEY].state is ServiceState.DONE
    assert log_files.tail(directory.log_of(ADMIN_KEY), 5) == ["made"]
    assert supervisor.platform.services[ADMIN_KEY].state is ServiceState.DONE


async def test_a_step_with_a_probe_is_healthy_when_that_succeeds_after_its_end(tmp_path: Path) -> None:
    directory, platform = a_directory(tmp_path), a_record()
    file = tmp_path / "served"
    step = a_service(API, platform, "print('deployed')", is_step=True, probe=ready_when(file))

    async with supervised(directory, platform, step) as supervisor:
        await until(lambda: supervisor.platform.services[API].detail)
        assert log_files.tail(directory.log_of(API), 5) == ["deployed"]
        assert supervisor.platform.services[API].state is ServiceState.STARTING
        file.touch()
        await until(lambda: is_running(supervisor))
        assert supervisor.platform.services[API].state is ServiceState.HEALTHY
        assert supervisor.platform.services[API].restarts == 0


def started_by_a_service(platform: PlatformRecord) -> "subprocess.Popen[bytes]":
    marked = {**os.environ, PLATFORM_ID_VARIABLE: platform.platform_id}
    return subprocess.Popen([sys.executable, "-c", SLEEP], env=marked, start_new_session=True)


async def test_what_outlives_a_service_is_ended_with_it_and_what_belongs_to_a_later_one_is_left_to_it(
    tmp_path: Path,
) -> None:
    directory, platform = a_directory(tmp_path), a_record()
    ended: list[float] = []
    other = started_by_a_service(platform)
    last = replace(a_service(BIGQUERY, platform, stops=Stops.LAST), sessions=lambda: frozenset({other.pid}))

    def end(grace: float) -> None:
        ended.append(grace)
        assert other.poll() is None, "it belongs to the other service, which stops last"

    first = replace(a_service(API, platform), once_ended=end)
    async with supervised(directory, platform, last, first) as supervisor:
        await until(lambda: is_running(supervisor))

    assert set(ended) == {QUICK.grace}
    assert is_gone(other.pid)
    other.wait(QUICK.grace)


@pytest.mark.parametrize("is_step", [True, False])
async def test_a_start_fails_when_a_service_dies_twice(tmp_path: Path, *, is_step: bool) -> None:
    directory, platform = a_directory(tmp_path), a_record()
    good = a_service(BIGQUERY, platform)
    bad = a_service(
        API,
        platform,
        "print('no disk'); raise SystemExit(7)",
        is_step=is_step,
        probe=ready_when(tmp_path / "never"),
    )

    supervisor = Supervisor((good, bad), directory, platform, QUICK)
    assert await supervisor.run() is PlatformState.FAILED

    assert supervisor.platform.failure == "api did not start: exit status 7."
    assert supervisor.platform.services[API].state is ServiceState.FAILED
    assert supervisor.platform.services[API].restarts == 1
    assert supervisor.platform.services[BIGQUERY].state is ServiceState.STOPPED
    assert log_files.tail(directory.log_of(API), 5) == ["no disk", "no disk"]


async def test_a_start_fails_when_a_service_does_not_become_ready(tmp_path: Path) -> None:
    directory, platform = a_directory(tmp_path), a_record()
    service = a_service(API, platform, probe=ready_when(tmp_path / "never"))

    supervisor = Supervisor((service,), directory, platform, Patience(readiness=0.2, between_probes=0.02))
    assert await supervisor.run() is PlatformState.FAILED

    assert supervisor.platform.failure == "api did not start: not ready after 0.2 s (no never yet)."


async def test_a_start_fails_when_a_program_is_not_there(tmp_path: Path) -> None:
    directory, platform = a_directory(tmp_path), a_record()
    service = replace(a_service(API, platform), command=(str(tmp_path / "nowhere"),))

    supervisor = Supervisor((service,), directory, platform, QUICK)
    assert await supervisor.run() is PlatformState.FAILED

    assert "nowhere" in supervisor.platform.failure


async def test_a_deaf_service_is_killed_after_the_grace(tmp_path: Path) -> None:
    directory, platform = a_directory(tmp_path), a_record()
    file = tmp_path / "deaf"
    service = a_service(API, platform, deaf(file), probe=ready_when(file))
    patience = Patience(grace=0.2, between_probes=0.02)

    async with supervised(directory, platform, service, patience=patience) as supervisor:
        await until(lambda: is_running(supervisor))
        pid = pid_of(supervisor, API)
    assert is_gone(pid)


async def test_a_second_stop_does_not_wait(tmp_path: Path) -> None:
    directory, platform = a_directory(tmp_path), a_record()
    file = tmp_path / "deaf"
    service = a_service(API, platform, deaf(file), probe=ready_when(file))

    async with supervised(
        directory, platform, service, patience=Patience(grace=600, between_probes=0.02)
    ) as supervisor:
        await until(lambda: is_running(supervisor))
        pid = pid_of(supervisor, API)
        supervisor.stop()
        await until(lambda: supervisor.platform.state is PlatformState.STOPPING)
    assert is_gone(pid)


async def test_grandchildren_end_too_whether_their_parent_lives_or_not(tmp_path: Path) -> None:
    directory, platform = a_directory(tmp_path), a_record()
    pids = tmp_path / "pids"
    code = f"""
        import subprocess, sys, time
        for is_away in (False, True):
            child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}], start_new_session=is_away)
            with open({str(pids)!r}, "a") as file:
                print(child.pid, file=file)
        time.sleep(600)
    """

    def known() -> list[int]:
        return [int(line) for line in pids.read_text().split()] if pids.exists() else []

    async with supervised(directory, platform, a_service(API, platform, code)) as supervisor:
        await until(lambda: len(known()) == 2)
        os.kill(pid_of(supervisor, API), signal.SIGKILL)
        await until(lambda: len(known()) == 4)
        assert not any(is_gone(pid) for pid in known())
    assert all(is_gone(pid) for pid in known())


async def test_a_service_keeps_its_children_until_its_own_turn(tmp_path: Path) -> None:
    directory, platform = a_directory(tmp_path), a_record()
    ready, found = tmp_path / "ready", tmp_path / "found"
    code = f"""
        import pathlib, signal, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}], start_new_session=True)
        def end(*_):
            pathlib.Path({str(found)!r}).write_text(str(child.poll()))
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        pathlib.Path({str(ready)!r}).touch()
        time.sleep(600)
    """
    last = a_service(BIGQUERY, platform, code, probe=ready_when(ready), stops=Stops.LAST)

    async with supervised(directory, platform, last, a_service(API, platform)) as supervisor:
        await until(lambda: is_running(supervisor))
    assert found.read_text() == "None", "the child lived"


async def test_services_stop_in_their_turns(tmp_path: Path) -> None:
    directory, platform = a_directory(tmp_path), a_record()
    order = tmp_path / "order"

    def noting(name: ServiceName) -> str:
        return f"""
            import pathlib, signal, sys, time
            def end(*_):
                with open({str(order)!r}, "a") as file:
                    print({name.value!r}, file=file)
                sys.exit(0)
            signal.signal(signal.SIGTERM, end)
            pathlib.Path({str(tmp_path / name)!r}).touch()
            time.sleep(600)
        """

    turns = {BIGQUERY: Stops.LAST, API: Stops.SECOND, DAEMON: Stops.FIRST}
    services = [
        a_service(name, platform, noting(name), probe=ready_when(tmp_path / name), stops=turn)
        for name, turn in turns.items()
    ]

    async with supervised(directory, platform, *services) as supervisor:
        await until(lambda: is_running(supervisor))
    assert order.read_text().split() == [DAEMON, API, BIGQUERY]


async def test_a_stop_half_way_through_the_start_leaves_nothing(tmp_path: Path) -> None:
    directory, platform = a_directory(tmp_path), a_record()
    first = a_service(BIGQUERY, platform, probe=ready_when(tmp_path / "never"))
    second = a_service(API, platform, needs=frozenset({BIGQUERY}))

    async with supervised(directory, platform, first, second) as supervisor:
        await until(lambda: supervisor.platform.services[BIGQUERY].identity)
        pid = pid_of(supervisor, BIGQUERY)
    assert is_gone(pid)
    assert supervisor.platform.state is PlatformState.STOPPED
    assert supervisor.platform.services[API].state is ServiceState.WAITING


async def test_steps_alone_keep_a_platform_up_until_it_is_stopped(tmp_path: Path) -> None:
    directory, platform = a_directory(tmp_path), a_record()

    async with supervised(
        directory, platform, a_service(ADMIN_KEY, platform, "", is_step=True)
    ) as supervisor:
        await until(lambda: is_running(supervisor))
        await asyncio.sleep(0)
        assert is_running(supervisor)


def test_the_pause_before_a_restart_doubles_up_to_its_bound() -> None:
    patience = Patience(first_pause=0.5, longest_pause=30)

    assert [patience.pause(deaths) for deaths in (1, 2, 3, 7, 60)] == [0.5, 1, 2, 30, 30]
