"""Which zygote serves which run, with processes that only listen; a test says what they would say."""

import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from convergence_orchestration.launching.model import LaunchRequest
from convergence_orchestration.launching.paths import launch_paths
from convergence_orchestration.launching.sources import LoadedSources, fingerprint
from convergence_orchestration.launching.zygotes import Readiness, Zygote, Zygotes
from convergence_orchestration_tests.launching.builders import request


class Server:
    """What the server does for its zygotes, and the code location's only file."""

    def __init__(self, directory: Path) -> None:
        self.listener = directory / "listener"
        self.listener.write_text("#!/bin/sh\nexec cat > /dev/null\n")
        self.listener.chmod(0o700)
        self.code = directory / "code.py"
        self.code.write_text("version = 1")
        self.watched: list[Zygote] = []
        paths = launch_paths(directory)
        paths.make_directories()
        self.zygotes = Zygotes(paths, self.watched.append, self.watched.remove)

    def ask(self, location: str = "tested", accepted_at: int | None = None) -> Zygote:
        asked = request(accepted_at=accepted_at or time.time_ns(), executable=str(self.listener))
        return self.zygotes.obtain(named(asked, location), {"PATH": "/bin:/usr/bin"}, "environment")

    def hear(self, zygote: Zygote, event: str = "ready") -> None:
        """Have a zygote say that it imported the code as it is now."""
        roots = (str(self.code),)
        sources = asdict(LoadedSources(roots, fingerprint(roots), 0, time.time_ns()))
        self.zygotes.heard(zygote, {"event": event, "reason": "because", "sources": sources})

    def ready(self, location: str = "tested") -> Zygote:
        time.sleep(
            0.02
        )  # file systems tell times in ticks of some ms: the code must be older than the zygote
        zygote = self.ask(location)
        self.hear(zygote)
        return zygote

    def change_the_code(self) -> None:
        self.code.write_text("version = 2, and longer")


def named(asked: LaunchRequest, location: str) -> LaunchRequest:
    return replace(asked, location=replace(asked.location, name=location))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    for zygote in list(server.watched):
        zygote.child.kill()
        server.zygotes.gone(zygote)


def test_one_zygote_serves_all_runs_of_a_location(server: Server) -> None:
    zygote = server.ask()
    assert zygote.readiness is Readiness.LOADING
    assert server.ask() is zygote

    server.hear(zygote)

    assert server.ask() is zygote
    assert server.ask().readiness is Readiness.READY
    assert server.watched == [zygote]
    assert server.zygotes.processes == [zygote.process]


def test_changed_code_takes_a_new_zygote(server: Server) -> None:
    zygote = server.ready()

    server.change_the_code()

    assert server.ask() is not zygote
    assert zygote.is_told_to_end


def test_a_run_accepted_before_the_import_began_is_served_by_it_whatever_changes_later(
    server: Server,
) -> None:
    accepted_at = time.time_ns()
    zygote = server.ready()

    server.change_the_code()

    assert server.ask(accepted_at=accepted_at) is zygote


def test_an_unfit_zygote_is_tried_again_when_the_code_changes(server: Server) -> None:
    time.sleep(0.02)
    zygote = server.ask()
    server.hear(zygote, "unfit")
    server.zygotes.gone(zygote)
    assert server.ask() is zygote
    assert zygote.readiness is Readiness.UNFIT

    server.change_the_code()

    assert server.ask().readiness is Readiness.LOADING


def test_an_unfit_zygote_is_tried_again_after_a_minute(server: Server) -> None:
    time.sleep(0.02)
    zygote = server.ask()
    server.hear(zygote, "unfit")
    server.zygotes.gone(zygote)

    zygote.since -= 61

    assert server.ask() is not zygote


def test_a_zygote_that_dies_during_the_import_is_unfit(server: Server) -> None:
    zygote = server.ask()

    zygote.child.kill()
    assert server.zygotes.gone(zygote) == set()

    assert zygote.readiness is Readiness.UNFIT
    assert server.ask() is zygote
    assert server.zygotes.processes == []


def test_a_zygote_that_dies_later_is_replaced_and_its_runs_are_named(server: Server) -> None:
    zygote = server.ready()
    zygote.fork("a")

    zygote.child.kill()

    assert server.zygotes.gone(zygote) == {"a"}
    assert server.ask() is not zygote


def test_an_import_that_does_not_end_is_killed(server: Server) -> None:
    zygote = server.ask()

    server.zygotes.tick(zygote.since + 179)
    assert zygote.child.poll() is None
    server.zygotes.tick(zygote.since + 181)

    assert zygote.child.wait() == -9


def test_a_retired_zygote_stays_until_its_last_worker_ended(server: Server) -> None:
    zygote = server.ready()
    zygote.fork("a")

    server.zygotes.expire(zygote.location)
    assert not zygote.is_told_to_end
    assert server.zygotes.processes == [zygote.process]
    server.zygotes.heard(zygote, {"event": "exited", "run_id": "a"})

    assert zygote.is_told_to_end
    zygote.child.kill()
    assert server.zygotes.gone(zygote) == set()
    assert server.zygotes.processes == []


def test_only_the_reloaded_location_takes_a_new_zygote(server: Server) -> None:
    zygote, other = server.ready(), server.ready("other")

    server.zygotes.expire(zygote.location)

    assert server.ask("other") is other
    assert server.ask() is not zygote


def test_of_three_zygotes_the_one_not_used_for_longest_goes(server: Server) -> None:
    first, second = server.ready("first"), server.ready("second")
    assert server.ask("first") is first

    server.ask("third")

    assert second.is_told_to_end
    assert not first.is_told_to_end


def test_a_zygote_somebody_waits_for_does_not_go(server: Server) -> None:
    first = server.ask("first")
    server.ready("second")

    server.ask("third")

    assert server.ask("first") is first


def test_in_the_end_all_are_told_to_end(server: Server) -> None:
    zygotes = [server.ready(), server.ask("other")]
    zygotes[0].child.kill()
    zygotes[0].child.wait()

    server.zygotes.end()

    assert all(zygote.is_told_to_end for zygote in zygotes)
