from datetime import timedelta

from convergence_orchestration.releases.traffic.attempts import PastRun, is_at_work, next_attempt
from convergence_orchestration_tests.releases.builders import NOON


def _run(seconds_ago: float, decision: str = "d1", *, live: bool = False, begun: bool = True) -> PastRun:
    return PastRun(NOON - timedelta(seconds=seconds_ago), live, begun, decision)


def test_a_decision_without_a_run_gets_its_first() -> None:
    assert next_attempt("d1", [_run(1, "d2")], NOON) == 1


def test_a_failed_run_is_followed_by_another_ever_more_slowly() -> None:
    assert next_attempt("d1", [_run(3)], NOON) is None
    assert next_attempt("d1", [_run(4)], NOON) == 2
    assert next_attempt("d1", [_run(12), _run(7)], NOON) is None
    assert next_attempt("d1", [_run(13), _run(8)], NOON) == 3
    assert next_attempt("d1", [_run(60 + at) for at in range(9)] + [_run(30)], NOON) == 11


def test_a_living_run_works_alone_and_one_that_never_began_is_given_up() -> None:
    assert is_at_work([_run(500, live=True)], NOON)
    assert is_at_work([_run(30, live=True, begun=False)], NOON)
    assert not is_at_work([_run(90, live=True, begun=False)], NOON)
    assert not is_at_work([_run(1)], NOON)
