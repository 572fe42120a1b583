"""The arithmetic of the tests, against figures that were worked out by hand or by simulation."""

from datetime import timedelta
from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.releases.evidence import Measurement
from convergence_orchestration.releases.proportions import (
    Count,
    log_evidence,
    log_evidence_quiet,
    log_evidence_worse,
)
from convergence_orchestration.releases.sprt import RESTARTS, ErrorTest, log_sum
from convergence_orchestration_tests.releases.builders import NOON

TEST = ErrorTest(good=0.001, bad=0.01, alpha=0.001, beta=0.01)
SECOND = timedelta(seconds=1)


def test_three_errors_in_a_row_convict_and_two_do_not() -> None:
    assert TEST.log_ratio(3, 3) >= TEST.convicts_at
    assert TEST.log_ratio(2, 2) < TEST.convicts_at


def test_about_five_hundred_clean_answers_accept_and_about_680_at_the_target() -> None:
    assert TEST.log_ratio(509, 0) <= TEST.accepts_at < TEST.log_ratio(508, 0)
    drift = -TEST.log_ratio(1000, 1) / 1000
    assert 680 < -TEST.accepts_at / drift < 690


def test_a_service_on_its_target_is_convicted_less_often_than_promised() -> None:
    rng = np.random.default_rng(1)
    answers = rng.random((2000, 4000)) < TEST.good
    steps = np.where(answers, log(10), log(0.99 / 0.999))
    paths = steps.cumsum(axis=1)
    assert (paths.max(axis=1) >= TEST.convicts_at).mean() <= 0.002


def measurements(errors: list[int], requests: int = 100) -> list[Measurement]:
    return [
        Measurement(NOON + at * SECOND, NOON + (at + 1) * SECOND, requests, wrong)
        for at, wrong in enumerate(errors)
    ]


def test_a_late_fault_costs_the_choice_among_all_moments_and_no_more() -> None:
    late = TEST.late_log_ratio(measurements([0] * 50 + [20]), NOON, SECOND)
    assert late == pytest.approx(TEST.log_ratio(100, 20) - log(RESTARTS), abs=0.7)


def test_without_measurements_there_is_no_evidence() -> None:
    assert TEST.late_log_ratio([], NOON, SECOND) == float("-inf")
    assert log_sum([]) == float("-inf")


def test_what_comes_behind_the_last_moment_counts_for_that() -> None:
    long = measurements([0] * (RESTARTS + 50) + [30])
    assert TEST.late_log_ratio(long, NOON, SECOND) > TEST.log_ratio(100 * len(long), 30)


def test_late_faults_are_rarely_seen_where_there_are_none() -> None:
    rng = np.random.default_rng(2)
    convicted = 0
    for _ in range(300):
        errors = rng.binomial(100, TEST.good, 60).tolist()
        every = measurements(errors)
        convicted += any(
            TEST.late_log_ratio(every[:until], NOON, SECOND) >= log(1000) for until in range(5, 61, 5)
        )
    assert convicted <= 2


def test_evidence_of_a_proportion_has_an_expectation_of_at_most_one_where_it_is_kept() -> None:
    for allowed in (0.001, 0.05, 0.5, 0.92):
        expected = sum(
            _binomial(20, count, allowed) * exp(log_evidence(count, 20, allowed)) for count in range(21)
        )
        assert expected == pytest.approx(1.0)


def _binomial(total: int, count: int, proportion: float) -> float:
    ways = 1.0
    for at in range(count):
        ways *= (total - at) / (at + 1)
    return float(ways * proportion**count * (1 - proportion) ** (total - count))


@given(st.integers(0, 1000), st.floats(0.001, 0.9))
def test_each_one_more_is_more_evidence(count: int, allowed: float) -> None:
    assert log_evidence(count + 1, 2000, allowed) > log_evidence(count, 2000, allowed)


def test_no_observation_is_no_evidence() -> None:
    assert log_evidence(0, 0, 0.05) == pytest.approx(0.0)
    assert Count(0, 0).percent == 0
    assert log_evidence_worse(Count(0, 0), Count(1, 10)) == float("-inf")


def test_a_candidate_is_worse_than_a_stable_revision_with_fewer() -> None:
    assert log_evidence_worse(Count(20, 1000), Count(18, 9000)) > log(1000)
    assert log_evidence_worse(Count(2, 1000), Count(18, 9000)) < 0
    assert log_evidence_worse(Count(6, 1000), Count(18, 9000), times=3.0) < log(1000)


def test_a_hundred_and_twenty_answers_without_one_of_the_candidates_show_that_it_is_quiet() -> None:
    assert log_evidence_quiet(0, 120, 0.08) > log(6000)
    assert log_evidence_quiet(10, 110, 0.08) < 0
