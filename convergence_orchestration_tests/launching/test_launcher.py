"""The launcher with real Dagster processes, and what it does when some of them are killed."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from convergence_orchestration.launching.processes import identity_of, is_alive
from convergence_orchestration.launching.records import RunRecords
from convergence_orchestration.launching.stopping import processes_of, stop
from convergence_orchestration_tests.launching.dagster_processes import (
    SECRET,
    WORKERS,
    DagsterProcesses,
    dagster_processes,
    eventually,
    kill,
)

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("launching")]


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterProcesses]:
    with dagster_processes(tmp_path_factory.mktemp("launching")) as running:
        yield running


def test_a_run_is_forked_from_the_zygote_and_its_output_captured(dagster: DagsterProcesses) -> None:
    run_id = dagster.launch("printing")

    assert dagster.outcome(run_id) == "SUCCESS"
    stdout, stderr = dagster.output(run_id)
    assert stdout.splitlines()[0] == f"version one, forked from {dagster.zygotes()[0].pid}"
    assert "from a child process" in stdout
    assert "to standard error" in stderr
    assert "logged" in stderr
    assert "Started process for run" in dagster.messages(run_id)


def test_a_worker_has_the_environment_of_who_launched_it_and_nobody_else_sees_it(
    dagster: DagsterProcesses,
) -> None:
    run_id = dagster.launch("printing")

    assert dagster.outcome(run_id) == "SUCCESS"
    assert "knows the secret" in dagster.output(run_id)[0]
    files = [path for path in dagster.home.rglob("*") if path.is_file()]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    eventually(lambda: len(list(processes_of(dagster.home))) == 2, lambda: "the worker is still there")
    commands = [" ".join(psutil.Process(process.pid).cmdline()) for process in processes_of(dagster.home)]
    assert SECRET not in "".join(commands)


def test_a_failing_run_fails_as_with_any_launcher(dagster: DagsterProcesses) -> None:
    run_id = dagster.launch("failing")

    assert dagster.outcome(run_id) == "FAILURE"
    assert "worker process" not in dagster.messages(run_id)


def test_a_terminated_run_is_canceled(dagster: DagsterProcesses) -> None:
    run_id = dagster.launch("sleeping", "sleeps", seconds=60)
    worker = identity_of(dagster.worker(run_id))

    assert dagster.terminate(run_id) == "TerminateRunSuccess"

    assert dagster.outcome(run_id) == "CANCELED"
    assert worker is not None
    eventually(lambda: not is_alive(worker), lambda: "the worker lives on")


def test_a_run_that_ignores_interrupts_is_killed_and_canceled(dagster: DagsterProcesses) -> None:
    run_id = dagster.launch("clinging", "clings_to_life")
    dagster.worker(run_id)

    assert dagster.terminate(run_id) == "TerminateRunSuccess"

    assert dagster.outcome(run_id) == "CANCELED"


def test_the_run_of_a_killed_worker_fails_and_is_retried(dagster: DagsterProcesses) -> None:
    run_id = dagster.launch("dying_once", "dies_once")

    os.kill(dagster.worker(run_id), signal.SIGKILL)

    assert dagster.outcome(run_id) == "FAILURE"
    assert "was ended by signal 9, SIGKILL" in dagster.messages(run_id)
    assert dagster.outcome(dagster.retry_of(run_id)) == "SUCCESS"


def test_run_monitoring_sees_a_worker_that_was_killed_with_everybody_who_watched_it(
    dagster: DagsterProcesses,
) -> None:
    run_id = dagster.launch("dying_once", "dies_once")
    worker = identity_of(dagster.worker(run_id))
    assert worker is not None

    kill(dagster.server(), *dagster.zygotes(), worker)

    assert dagster.outcome(run_id) == "FAILURE"
    seen = f"Run monitoring found no worker. Worker process {worker.pid} ended, nobody saw how."
    assert seen in dagster.messages(run_id)


def test_workers_outlive_a_killed_fork_server(dagster: DagsterProcesses) -> None:
    run_id = dagster.launch("sleeping", "sleeps", seconds=3)
    worker = identity_of(dagster.worker(run_id))
    assert worker is not None

    kill(dagster.server())

    assert dagster.outcome(dagster.launch("printing")) == "SUCCESS"
    assert dagster.outcome(run_id) == "SUCCESS"


def test_terminate_reaches_a_worker_of_a_killed_fork_server(dagster: DagsterProcesses) -> None:
    run_id = dagster.launch("sleeping", "sleeps", seconds=60)
    dagster.worker(run_id)
    kill(dagster.server(), *dagster.zygotes())

    assert dagster.terminate(run_id) == "TerminateRunSuccess"

    assert dagster.outcome(run_id) == "CANCELED"


def test_a_dozen_runs_at_once_keep_to_the_bound_and_survive_a_kill_of_the_server(
    dagster: DagsterProcesses,
) -> None:
    def launch(_number: int) -> str:
        return dagster.launch("sleeping", "sleeps", seconds=2)

    assert dagster.outcome(dagster.launch("printing")) == "SUCCESS", "the zygote is there"
    with ThreadPoolExecutor(4) as threads:
        run_ids = list(threads.map(launch, range(12)))
    kill(dagster.server())

    assert {dagster.outcome(run_id) for run_id in run_ids} == {"SUCCESS"}
    starts = [(dagster.marks / f"{run_id}.started").read_text().splitlines() for run_id in run_ids]
    ends = [(dagster.marks / f"{run_id}.ended").read_text().splitlines() for run_id in run_ids]
    assert {len(lines) for lines in (*starts, *ends)} == {1}, "a run was executed twice"
    assert at_once(starts, ends) <= WORKERS
    assert any("Waits for a worker" in dagster.messages(run_id) for run_id in run_ids)


def test_a_server_killed_during_the_import_is_succeeded_by_one_that_executes_what_waits(
    dagster: DagsterProcesses,
) -> None:
    kill(dagster.server(), *dagster.zygotes())
    run_id = dagster.launch("printing")

    kill(dagster.server())

    assert dagster.outcome(run_id) == "SUCCESS"


def test_a_run_that_waits_is_canceled_without_ever_starting(dagster: DagsterProcesses) -> None:
    busy = [dagster.launch("sleeping", "sleeps", seconds=60) for _ in range(WORKERS)]
    waiting = dagster.launch("sleeping", "sleeps", seconds=60)

    assert dagster.terminate(waiting, "MARK_AS_CANCELED_IMMEDIATELY") == "TerminateRunSuccess"

    for run_id in busy:
        dagster.worker(run_id)
        dagster.terminate(run_id)
    assert {dagster.outcome(run_id) for run_id in [waiting, *busy]} == {"CANCELED"}
    no_request_left = RunRecords(dagster.paths.runs).has_open_requests
    eventually(lambda: not no_request_left(), lambda: "the canceled run is not given up")
    assert not (dagster.marks / f"{waiting}.started").exists()


def test_changed_code_runs_and_broken_code_says_so(dagster: DagsterProcesses) -> None:
    code = dagster.code.read_text()

    dagster.code.write_text(code.replace('VERSION = "one"', 'VERSION = "two"'))
    second = dagster.launch("printing")
    assert dagster.outcome(second) == "SUCCESS"
    assert dagster.output(second)[0].startswith("version two, ")

    dagster.code.write_text("import no_such_module")
    broken = dagster.launch("printing")
    assert dagster.outcome(broken) == "FAILURE"
    assert "Could not load job definition" in dagster.messages(broken)

    dagster.code.write_text(code.replace('VERSION = "one"', 'VERSION = "three"'))
    third = dagster.launch("printing")
    assert dagster.outcome(third) == "SUCCESS"
    assert dagster.output(third)[0].startswith("version three, forked")


def test_code_that_starts_threads_is_executed_in_fresh_processes(dagster: DagsterProcesses) -> None:
    code = dagster.code.read_text()
    threads = "import threading\nthreading.Thread(target=time.sleep, args=(99,), daemon=True, name='restless').start()\n"
    dagster.code.write_text(code.replace("VERSION =", f"{threads}VERSION ="))

    run_id = dagster.launch("printing")

    assert dagster.outcome(run_id) == "SUCCESS"
    assert dagster.output(run_id)[0].splitlines()[0].endswith(f"forked from {dagster.server().pid}")
    assert "threads run after the import: restless" in dagster.paths.log.read_text()
    dagster.code.write_text(code)


def test_code_that_ends_its_process_fails_the_run(dagster: DagsterProcesses) -> None:
    code = dagster.code.read_text()
    dagster.code.write_text("import os\nos._exit(3)\n")

    run_id = dagster.launch("printing")

    assert dagster.outcome(run_id) == "FAILURE"
    assert "ended with exit code 3 before the run was finished" in dagster.messages(run_id)
    dagster.code.write_text(code)


def test_without_a_fork_server_the_default_launcher_takes_over_and_says_so(dagster: DagsterProcesses) -> None:
    server = dagster.server()
    aside = dagster.paths.directory.rename(dagster.home / "aside")
    dagster.paths.directory.write_text("a file where the launcher's directory should be")
    eventually(lambda: not is_alive(server), lambda: "the server of a home that is gone lives on")

    run_id = dagster.launch("printing")

    assert dagster.outcome(run_id) == "SUCCESS"
    because = "Launched by DefaultRunLauncher, in a fresh process: the request cannot be written down"
    assert because in dagster.messages(run_id)
    long = dagster.launch("sleeping", "sleeps", seconds=60)
    dagster.worker(long)
    assert dagster.terminate(long) == "TerminateRunSuccess"
    assert dagster.outcome(long) == "CANCELED"
    dagster.paths.directory.unlink()
    aside.rename(dagster.paths.directory)


def test_stop_ends_everything_and_the_next_run_starts_it_again(
    dagster: DagsterProcesses,
) -> None:
    run_id = dagster.launch("dying_once", "dies_once")
    dagster.worker(run_id)

    stopped = stop(dagster.home, grace=5)

    assert processes_of(dagster.home) == []
    assert (stopped.ended, stopped.killed) == (3, 0)
    assert dagster.outcome(run_id) == "FAILURE"
    assert "Execution was interrupted unexpectedly" in dagster.messages(run_id)
    assert dagster.outcome(dagster.launch("printing")) == "SUCCESS"


def at_once(starts: list[list[str]], ends: list[list[str]]) -> int:
    """How many intervals overlap at most."""
    steps = [(float(line.split()[1]), 1) for [line] in starts] + [
        (float(line.split()[1]), -1) for [line] in ends
    ]
    most = now = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most
