"""The life of runs in the server, with processes that a test starts and time that it passes."""

import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from convergence_orchestration.launching.model import NO_WORKER, LaunchRequest, Limits, ProcessIdentity
from convergence_orchestration.launching.processes import identity_of
from convergence_orchestration.launching.records import RunRecords
from convergence_orchestration.launching.workers import Begun, Cancelled, Workers
from convergence_orchestration_tests.launching.builders import NOBODY, records_in, request


class Exited:
    """A child process that has ended, or has not with None."""

    def __init__(self, status: int | None) -> None:
        self.status = status

    def poll(self) -> int | None:
        return self.status


class Machine:
    """Starts what Workers asks for, as a test wants it."""

    def __init__(self, directory: Path) -> None:
        self.records: RunRecords = records_in(directory)
        self.begun: list[str] = []
        self.environments: list[Mapping[str, str]] = []
        self.reports: list[str] = []
        self.next_begun: Begun | None = Begun()
        self.next_report = Exited(0)
        self.is_out_of_processes = False
        self.workers = self.another_server()

    def another_server(self) -> Workers:
        workers = Workers(self.records, {"HOME": "/own"}, self.begin, self.report)
        workers.limits = Limits(workers=2)
        return workers

    def begin(self, asked: LaunchRequest, environment: Mapping[str, str], _key: str) -> Begun | None:
        self._spend_a_process()
        if self.next_begun:
            self.begun.append(asked.run_id)
            self.environments.append(environment)
        return self.next_begun

    def report(self, _request: LaunchRequest, message: str) -> Exited:
        self._spend_a_process()
        self.reports.append(message)
        return self.next_report

    def _spend_a_process(self) -> None:
        if self.is_out_of_processes:
            raise BlockingIOError("Resource temporarily unavailable")

    def accept(self, *run_ids: str) -> None:
        for run_id in run_ids:
            self.records.accept(request(run_id))
            self.workers.accept(run_id, {"HOME": "/theirs"})
        self.workers.admit(now=0)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def sleeper() -> Iterator[ProcessIdentity]:
    with subprocess.Popen(["sleep", "60"]) as child:
        identity = identity_of(child.pid)
        assert identity is not None
        yield identity
        child.kill()


def test_as_many_runs_as_allowed_start_in_order_and_the_others_wait(machine: Machine) -> None:
    machine.accept("a", "b", "c")

    assert machine.begun == ["a", "b"]
    assert machine.environments == [{"HOME": "/theirs"}] * 2
    assert machine.workers.is_held_up("c")
    assert not machine.workers.is_held_up("a")
    assert machine.workers.counts() == {"waiting": 1, "running": 2, "lost": 0}


def test_the_next_run_starts_when_one_finished(machine: Machine) -> None:
    machine.accept("a", "b", "c")
    machine.records.claim("a", NOBODY)
    machine.records.finish("a")

    machine.workers.ended("a", "ended with exit code 0")
    machine.workers.admit(now=1)

    assert machine.begun == ["a", "b", "c"]
    assert machine.records.request("a") is None
    assert machine.reports == []


def test_a_run_accepted_twice_starts_once(machine: Machine) -> None:
    machine.accept("a")
    machine.accept("a")
    machine.records.claim("b", NOBODY)
    machine.accept("b")

    assert machine.begun == ["a"]


def test_a_run_that_is_not_asked_for_any_more_does_not_start(machine: Machine) -> None:
    assert machine.workers.accept("taken back", {}) is None
    machine.workers.admit(now=0)

    assert machine.begun == []


def test_a_recovered_run_gets_the_environment_of_who_launched_it(machine: Machine) -> None:
    machine.records.accept(request("a"))
    machine.workers.recover()

    machine.accept("a")

    assert machine.environments == [{"HOME": "/theirs"}]


def test_a_run_canceled_before_its_launch_is_told_never_starts(machine: Machine) -> None:
    machine.records.accept(request("a"))

    assert machine.workers.cancel("a", grace=5, now=0) is Cancelled.UNKNOWN
    machine.workers.accept("a", {})
    machine.workers.admit(now=0)

    assert machine.begun == []
    assert machine.records.request("a") is None


def test_a_run_waits_while_its_code_is_imported(machine: Machine) -> None:
    machine.next_begun = None
    machine.accept("a")
    assert not machine.workers.is_held_up("a"), "it waits, but not for another run"

    machine.next_begun = Begun()
    machine.workers.admit(now=1)

    assert machine.begun == ["a"]


def test_without_processes_runs_wait_a_second(machine: Machine) -> None:
    machine.is_out_of_processes = True
    machine.accept("a")
    assert machine.workers.must_look

    machine.is_out_of_processes = False
    machine.workers.admit(now=0.5)
    assert machine.begun == []
    machine.workers.admit(now=1.5)
    assert machine.begun == ["a"]


def test_a_refused_fork_is_tried_again_before_later_runs(machine: Machine) -> None:
    machine.accept("a", "b", "c")

    machine.workers.refused("a", "no memory", now=0)
    machine.workers.refused("unknown", "no memory", now=0)
    machine.workers.admit(now=2)

    assert machine.begun == ["a", "b", "a"]


def test_a_dead_worker_s_run_is_reported_with_how_it_died(machine: Machine) -> None:
    machine.accept("a")
    machine.records.claim("a", NOBODY)
    machine.workers.forked("a", NOBODY)

    machine.workers.ended("a", "was ended by signal 9, SIGKILL")
    assert machine.workers.is_busy
    machine.workers.tick(now=1)
    machine.workers.tick(now=2)

    assert machine.reports == [
        f"The run's worker process (pid: {NOBODY.pid}) was ended by signal 9, SIGKILL before the run was finished."
    ]
    assert not machine.workers.is_busy
    assert machine.records.request("a") is None


def test_a_report_that_fails_is_tried_three_times(machine: Machine) -> None:
    machine.next_report = Exited(1)
    machine.accept("a")
    machine.workers.ended("a", "was ended by signal 9, SIGKILL")

    for now in range(10):
        machine.workers.tick(now)

    assert len(machine.reports) == 3
    assert not machine.workers.is_busy
    assert machine.records.request("a") is not None, "the next server tries again"


def test_a_report_waits_for_a_process_and_for_its_end(machine: Machine) -> None:
    machine.next_report = Exited(None)
    machine.accept("a")
    machine.workers.ended("a", "was ended by signal 9, SIGKILL")
    machine.is_out_of_processes = True
    machine.workers.tick(now=1)
    machine.is_out_of_processes = False
    machine.workers.tick(now=2)
    machine.workers.tick(now=3)
    assert machine.workers.counts() == {"waiting": 0, "running": 0, "lost": 1}

    machine.accept("a")
    assert machine.begun == ["a"], "a lost run is not started again"
    machine.next_report.status = 0
    machine.workers.tick(now=4)
    assert len(machine.reports) == 1
    assert not machine.workers.is_busy


def test_the_end_of_an_own_child_is_seen(machine: Machine) -> None:
    child = Exited(None)
    machine.next_begun = Begun(NOBODY, child)
    machine.accept("a")
    machine.workers.tick(now=1)
    assert machine.workers.is_executing
    assert machine.workers.must_look

    child.status = 1
    machine.workers.tick(now=2)

    assert machine.reports == [
        f"The run's worker process (pid: {NOBODY.pid}) ended with exit code 1 before the run was finished."
    ]


def test_the_next_server_lets_runs_wait_and_looks_after_workers(
    machine: Machine, sleeper: ProcessIdentity
) -> None:
    machine.accept("alive", "finished", "waiting")
    machine.records.claim("alive", sleeper)
    machine.records.claim("finished", NOBODY)
    machine.records.finish("finished")

    machine.workers = machine.another_server()
    machine.workers.recover()
    assert machine.workers.counts() == {"waiting": 1, "running": 2, "lost": 0}
    machine.workers.tick(now=1)
    machine.workers.admit(now=1)

    assert machine.begun == ["alive", "finished", "waiting"]
    assert machine.environments[-1] == {"HOME": "/own"}
    assert machine.records.request("finished") is None
    assert machine.workers.counts() == {"waiting": 0, "running": 2, "lost": 0}
    assert machine.reports == []


def test_the_next_server_reports_whose_end_nobody_saw(machine: Machine) -> None:
    machine.accept("a", "b")
    machine.records.claim("a", NOBODY)
    machine.records.claim("b", NOBODY)
    machine.records.note_ending("b", "was ended by signal 9, SIGKILL")

    machine.workers = machine.another_server()
    machine.workers.recover()
    machine.workers.tick(now=1)
    machine.workers.tick(now=2)

    assert [report.split(") ")[1] for report in machine.reports] == [
        "ended, nobody saw how, before the run was finished.",
        "was ended by signal 9, SIGKILL before the run was finished.",
    ]


def test_the_next_server_with_nothing_to_do_is_idle(machine: Machine) -> None:
    machine.workers.recover()

    assert not machine.workers.is_busy
    assert not machine.workers.must_look


def test_of_two_workers_for_a_run_the_one_that_claimed_it_counts(
    machine: Machine, sleeper: ProcessIdentity
) -> None:
    machine.accept("a")
    machine.workers.forked("a", NOBODY)
    machine.records.claim("a", sleeper)

    machine.workers.ended("a", "ended with exit code 0")
    machine.workers.tick(now=1)

    assert machine.workers.counts() == {"waiting": 0, "running": 1, "lost": 0}
    assert machine.reports == []


def test_a_run_that_was_taken_back_is_forgotten(machine: Machine) -> None:
    machine.accept("a")
    machine.records.claim("a", NO_WORKER)
    machine.records.close("a")

    machine.workers.ended("a", "ended with exit code 0")

    assert not machine.workers.is_busy


def test_when_a_zygote_dies_its_workers_are_looked_at_and_the_others_wait_again(
    machine: Machine, sleeper: ProcessIdentity
) -> None:
    machine.accept("claimed", "not forked")
    machine.records.claim("claimed", sleeper)

    machine.workers.unwatched({"claimed", "not forked", "of another time"})

    assert machine.workers.counts() == {"waiting": 1, "running": 1, "lost": 0}
    machine.workers.admit(now=1)
    assert machine.begun == ["claimed", "not forked", "not forked"]


def test_a_worker_killed_before_it_claimed_its_run_is_reported(machine: Machine) -> None:
    machine.accept("a")
    machine.workers.forked("a", NOBODY)

    machine.workers.unwatched({"a"})
    machine.workers.tick(now=1)

    assert len(machine.reports) == 1


def test_a_waiting_run_is_canceled_at_once(machine: Machine) -> None:
    machine.accept("a", "b", "c")

    assert machine.workers.cancel("c", grace=5, now=0) is Cancelled.DEQUEUED
    assert machine.records.request("c") is None


def test_an_unknown_or_dead_run_cannot_be_canceled(machine: Machine) -> None:
    machine.accept("a")
    machine.workers.forked("a", NOBODY)

    assert machine.workers.cancel("a", grace=5, now=0) is Cancelled.UNKNOWN
    assert machine.workers.cancel("b", grace=5, now=0) is Cancelled.UNKNOWN


def test_a_worker_is_interrupted_and_killed_after_its_grace(machine: Machine) -> None:
    command = [
        "python3",
        "-c",
        "import signal, time; signal.signal(15, 1); print(flush=True); time.sleep(60)",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        machine.next_begun = Begun(identity_of(child.pid), child)
        machine.accept("a")

        assert machine.workers.cancel("a", grace=5, now=10) is Cancelled.SIGNALLED
        machine.workers.tick(now=14)
        assert child.poll() is None
        machine.workers.tick(now=15)
        assert child.wait() == -signal.SIGKILL


def test_a_run_canceled_before_its_worker_is_known_is_interrupted_once_it_is(machine: Machine) -> None:
    machine.accept("a")
    assert machine.workers.cancel("a", grace=5, now=0) is Cancelled.SIGNALLED

    with subprocess.Popen(["sleep", "60"]) as child:
        identity = identity_of(child.pid)
        assert identity is not None
        machine.workers.forked("a", identity)
        assert child.wait() == -signal.SIGTERM
    machine.workers.forked("unknown", NOBODY)


def test_a_server_that_stops_interrupts_and_starts_nothing_more(
    machine: Machine, sleeper: ProcessIdentity
) -> None:
    machine.accept("a", "b", "c")
    machine.workers.forked("a", sleeper)

    machine.workers.stop(grace=5, now=0)
    machine.workers.ended("a", "was ended by signal 15, SIGTERM")
    machine.workers.admit(now=1)
    machine.workers.tick(now=1)

    assert machine.begun == ["a", "b"]
    assert machine.reports == []
    assert machine.records.request("a") is not None
    assert machine.records.request("c") is not None
