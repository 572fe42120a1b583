"""The rounds of looking after Envoy, one by one on a clock that the test sets, with a real Envoy."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.local_gcp.front_door.bootstrap import FrontDoorPorts
from convergence_orchestration.local_gcp.front_door.directory import Directory
from convergence_orchestration.local_gcp.front_door.supervisor import Supervisor
from convergence_orchestration.local_gcp.front_door_contract import (
    RoutedService,
    Routes,
    read_status,
    write_routes,
)
from convergence_orchestration.local_gcp.local_ca import leaf_path
from convergence_orchestration_tests.emulators import free_port
from convergence_orchestration_tests.local_gcp.clouds import SettableClock
from convergence_orchestration_tests.local_gcp.front_door.doors import PROJECT, eventually


class Kept:
    """A supervisor whose rounds the test calls."""

    def __init__(self, root: Path) -> None:
        self.clock = SettableClock(datetime.now(UTC))
        self.directory = Directory.at(root)
        self.ports = FrontDoorPorts(free_port(), free_port())
        self.supervisor = Supervisor(self.directory, self.ports, self.clock)
        self.supervisor.begin()
        self.until_served(0)

    def ask_for(self, version: int) -> None:
        write_routes(
            self.directory.root, Routes(version, (RoutedService(PROJECT, "us-central1", "api", ()),))
        )

    def until_served(self, version: int) -> None:
        def look() -> bool:
            self.supervisor.round()
            return self.directory.root.joinpath("front_door_status.json").exists() and self.version == version

        eventually(look)

    def until_another_than(self, pid: int | None) -> None:
        """Rounds, a second apart, until there is another Envoy: the dead one may still be dying and hold a port."""

        def look() -> bool:
            self.clock.advance(timedelta(seconds=1))
            self.supervisor.round()
            return self.supervisor.envoy_pid not in {None, pid}

        eventually(look)

    @property
    def version(self) -> int:
        return read_status(self.directory.root).version

    def kill_envoy(self) -> None:
        pid = self.supervisor.envoy_pid
        assert pid is not None
        psutil.Process(pid).kill()
        eventually(self._is_port_free)  # its threads end one after the other

    def _is_port_free(self) -> bool:
        try:
            socket.create_server(("127.0.0.1", self.ports.http)).close()
        except OSError:
            return False
        return True


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path)
    yield kept
    kept.supervisor.end()


def test_a_dead_envoy_is_started_again_at_growing_intervals_until_its_port_is_free(kept: Kept) -> None:
    kept.kill_envoy()
    first = kept.supervisor.envoy_pid
    with socket.create_server(("127.0.0.1", kept.ports.http)):
        for _ in range(3):
            kept.supervisor.round()
            assert kept.supervisor.envoy_pid == first
            kept.clock.advance(timedelta(seconds=5))
    kept.until_another_than(first)
    kept.kill_envoy()
    second = kept.supervisor.envoy_pid
    kept.supervisor.round()
    assert kept.supervisor.envoy_pid == second  # it has died at once: a pause
    kept.clock.advance(timedelta(seconds=6))  # longer than the longest pause
    kept.until_another_than(second)
    kept.ask_for(3)
    kept.until_served(3)


def test_an_envoy_that_cannot_be_told_is_told_again(kept: Kept) -> None:
    address = kept.directory.admin_address.read_text()
    kept.directory.admin_address.unlink()
    kept.ask_for(5)
    for _ in range(3):
        kept.supervisor.round()
        assert kept.version == 0
    kept.directory.admin_address.write_text(address)
    kept.until_served(5)


def test_an_envoy_that_does_not_get_ready_is_ended_and_started_anew(kept: Kept) -> None:
    kept.kill_envoy()
    kept.clock.advance(timedelta(minutes=1))
    kept.until_another_than(kept.supervisor.envoy_pid)
    slow = kept.supervisor.envoy_pid
    eventually(kept.directory.admin_address.exists)
    kept.directory.admin_address.write_text("127.0.0.1:9")  # nobody answers there
    kept.clock.advance(timedelta(seconds=16))
    kept.until_another_than(slow)
    kept.ask_for(2)
    kept.until_served(2)


def test_an_envoy_that_hangs_is_ended_and_started_again(kept: Kept) -> None:
    hung = kept.supervisor.envoy_pid
    assert hung is not None
    psutil.Process(hung).suspend()
    kept.until_another_than(hung)
    kept.ask_for(4)
    kept.until_served(4)


def test_the_certificate_is_renewed_while_envoy_serves(kept: Kept) -> None:
    before = leaf_path(kept.directory.root).read_bytes()
    kept.clock.advance(timedelta(days=61))
    kept.supervisor.round()
    assert leaf_path(kept.directory.root).read_bytes() != before


def test_a_taken_port_at_the_start_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = FrontDoorPorts(free_port(), taken.getsockname()[1])
        with pytest.raises(PermanentError, match="Choose another --https-port"):
            Supervisor(Directory.at(tmp_path), ports, lambda: datetime.now(UTC)).begin()
