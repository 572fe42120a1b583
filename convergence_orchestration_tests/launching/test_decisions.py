"""May this process fork; is that worker well; how many start; which environments are the same."""

import pytest

from convergence_orchestration.launching.fitness import own_unfit_reason, unfit_reason
from convergence_orchestration.launching.health import judge
from convergence_orchestration.launching.model import WorkerRecord, environment_key, zygote_key
from convergence_orchestration.launching.workers import to_start
from convergence_orchestration_tests.launching.builders import NOBODY, request


@pytest.mark.parametrize(
    ("python_threads", "native_threads", "reason"),
    [
        (["MainThread"], ["python"], ""),
        (["MainThread"], ["python", "python", "jemalloc_bg_thd"], ""),
        (["MainThread", "b", "a"], ["python"], "threads run after the import: a, b"),
        (
            ["MainThread"],
            ["python", "grpc_global_tim"],
            "gRPC was used during the import: its threads run (grpc_global_tim)",
        ),
    ],
)
def test_only_a_process_without_threads_and_without_grpc_may_fork(
    python_threads: list[str], native_threads: list[str], reason: str
) -> None:
    assert unfit_reason(python_threads, native_threads) == reason


def test_a_process_looks_at_its_own_threads() -> None:
    assert isinstance(own_unfit_reason(), str)


def test_a_run_whose_worker_lives_is_well() -> None:
    health = judge(request(), WorkerRecord(NOBODY), lambda process: process == NOBODY)

    assert health.is_running
    assert str(NOBODY.pid) in health.message


def test_a_run_that_waits_for_a_worker_is_well() -> None:
    assert judge(request(), None, lambda _: False).is_running


@pytest.mark.parametrize("is_finished", [True, False])
def test_a_run_whose_worker_is_gone_is_not(*, is_finished: bool) -> None:
    record = WorkerRecord(NOBODY, is_finished, ending="was ended by signal 9, SIGKILL")

    health = judge(request(), record, lambda _: False)

    assert not health.is_running
    assert health.message.endswith("was ended by signal 9, SIGKILL.")


def test_a_run_of_which_nothing_is_known_is_not() -> None:
    assert not judge(None, None, lambda _: True).is_running


@pytest.mark.parametrize(
    ("waiting", "running", "limit", "expected"),
    [(20, 0, 4, 4), (20, 4, 4, 0), (20, 3, 4, 1), (1, 0, 4, 1), (5, 6, 4, 0)],
)
def test_as_many_start_as_the_limit_leaves(waiting: int, running: int, limit: int, expected: int) -> None:
    assert to_start(waiting, running, limit) == expected


def test_what_a_terminal_sets_makes_no_other_environment() -> None:
    assert environment_key({"A": "1", "PWD": "/a", "SHLVL": "1"}) == environment_key({"A": "1", "PWD": "/b"})
    assert environment_key({"A": "1"}) != environment_key({"A": "2"})


def test_another_location_or_environment_takes_another_zygote() -> None:
    location = request().location

    assert zygote_key(location, "a") == zygote_key(request("other").location, "a")
    assert zygote_key(location, "a") != zygote_key(location, "b")
    assert zygote_key(location, "a") != zygote_key(request(executable="/other").location, "a")
