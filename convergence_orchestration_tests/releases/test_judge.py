from dataclasses import replace
from datetime import timedelta

import pytest

from convergence_orchestration.releases.evidence import Histogram, Measurement, Probes, RevisionEvidence
from convergence_orchestration.releases.findings import Sureness, is_failing
from convergence_orchestration.releases.judge import Judgement, judge
from convergence_orchestration.releases.model import Percent, RevisionName, Verdict
from convergence_orchestration_tests.releases.builders import (
    FAILING_PROBES,
    NEW,
    NOON,
    OK_PROBES,
    OLD,
    POLICY,
)

BOUNDS = (100.0, 200.0, 500.0)
FAST = (0.9, 0.07, 0.027, 0.003)


def evidence(
    requests: int,
    errors: int = 0,
    shape: tuple[float, ...] = FAST,
    name: RevisionName = NEW,
    probes: Probes | None = OK_PROBES,
    start: int = 0,
) -> RevisionEvidence:
    return RevisionEvidence(name, (stretch(start, requests, errors, shape),), probes)


def stretch(start: int, requests: int, errors: int = 0, shape: tuple[float, ...] = FAST) -> Measurement:
    counts = [int(requests * part) for part in shape[1:]]
    histogram = Histogram(BOUNDS, (requests - sum(counts), *counts))
    began = NOON + timedelta(seconds=start)
    return Measurement(began, began + timedelta(seconds=10), requests, errors, histogram)


def judged(
    candidate: RevisionEvidence, stable: RevisionEvidence | None = None, share: int | None = None
) -> Judgement:
    return judge(candidate, stable, Percent(share) if share is not None else None, POLICY)


def test_a_candidate_with_enough_good_answers_is_healthy() -> None:
    said = judged(evidence(3000, errors=3), evidence(27000, errors=27, name=OLD), 10)
    assert said.verdict is Verdict.HEALTHY
    assert said.numbers["error_percent"] == 0.1
    assert said.numbers["share_percent"] == pytest.approx(10, abs=0.1)
    assert "3 of 3000 answers were errors (0.10 %)" in said.words


@pytest.mark.parametrize(("errors", "requests"), [(3, 3), (4, 65), (12, 490)])
def test_as_few_requests_as_the_ratio_test_needs_convict(errors: int, requests: int) -> None:
    said = judged(evidence(requests, errors=errors))
    assert said.verdict is Verdict.UNHEALTHY
    assert "at most 0.1 % are allowed" in said.words


def test_one_error_in_ninety_nine_convicts_nobody() -> None:
    assert judged(evidence(99, errors=1)).verdict is Verdict.INCONCLUSIVE


def test_a_rate_a_little_above_the_target_is_found_in_the_end() -> None:
    assert judged(evidence(3000, errors=9)).verdict is not Verdict.UNHEALTHY
    assert judged(evidence(30000, errors=90)).verdict is Verdict.UNHEALTHY


def test_errors_that_do_not_show_yet_whether_they_are_too_many_decide_nothing() -> None:
    said = judged(evidence(700, errors=3))
    assert said.verdict is Verdict.INCONCLUSIVE
    assert "does not show yet" in said.words


def test_a_fault_that_starts_late_is_found_in_spite_of_all_that_went_well_before() -> None:
    good = [stretch(at * 10, 500) for at in range(50)]
    bad = [stretch(500 + at * 10, 500, errors=6) for at in range(2)]
    candidate = RevisionEvidence(NEW, (*good, *bad), OK_PROBES)
    assert judged(RevisionEvidence(NEW, tuple(good), OK_PROBES)).verdict is Verdict.HEALTHY
    assert judged(candidate).verdict is Verdict.UNHEALTHY
    assert judged(replace(candidate, measured=(stretch(0, 26000, errors=12),))).verdict is Verdict.HEALTHY


def test_more_errors_than_the_stable_revision_convict_although_the_target_is_kept() -> None:
    said = judged(evidence(10000, errors=14), evidence(90000, errors=2, name=OLD), 10)
    assert said.verdict is Verdict.UNHEALTHY
    assert "in the same minutes" in said.words


def test_when_the_stable_revision_is_just_as_bad_the_candidate_is_not_to_blame() -> None:
    said = judged(evidence(100, errors=20), evidence(900, errors=180, name=OLD), 10)
    assert said.verdict is Verdict.INCONCLUSIVE
    assert "so it is not the release" in said.words
    assert said.numbers["beyond_the_release"] is True


def test_when_the_stable_revision_is_bad_too_but_less_the_candidate_is_to_blame() -> None:
    assert (
        judged(evidence(1000, errors=500), evidence(9000, errors=180, name=OLD), 10).verdict
        is Verdict.UNHEALTHY
    )


def test_only_the_same_minutes_are_compared() -> None:
    stable = RevisionEvidence(OLD, (stretch(0, 900), stretch(10, 900, errors=180)))
    said = judged(evidence(100, errors=20), stable)
    assert said.verdict is Verdict.UNHEALTHY
    assert said.numbers["stable_errors"] == 0


def test_a_p95_far_above_its_limit_convicts_and_is_named() -> None:
    said = judged(evidence(500, shape=(0.5, 0.2, 0.2, 0.1)))
    assert said.verdict is Verdict.UNHEALTHY
    assert "p95 is 500 ms (at most 200 allowed)" in said.words
    assert "p99" in said.words


def test_exactly_on_the_limits_passes() -> None:
    said = judged(evidence(2000, errors=2, shape=(0.9, 0.05, 0.04, 0.01)))
    assert said.verdict is Verdict.HEALTHY
    assert (said.numbers["p95_ms"], said.numbers["p99_ms"]) == (200, 500)


def test_a_little_above_a_limit_may_be_chance() -> None:
    said = judged(evidence(2000, shape=(0.9, 0.045, 0.05, 0.005)))
    assert said.verdict is Verdict.INCONCLUSIVE
    assert "may still be chance" in said.words


def test_when_the_stable_revision_is_just_as_slow_the_candidate_is_not_to_blame() -> None:
    slow = (0.5, 0.2, 0.2, 0.1)
    said = judged(evidence(1000, shape=slow), evidence(9000, shape=slow, name=OLD), 10)
    assert said.verdict is Verdict.INCONCLUSIVE
    without = replace(evidence(9000, name=OLD), measured=(replace(stretch(0, 9000), latencies=None),))
    assert judged(evidence(1000, shape=slow), without, 10).verdict is Verdict.UNHEALTHY


def test_a_candidate_that_hangs_is_quiet_and_convicted_by_it() -> None:
    said = judged(evidence(0), evidence(200, name=OLD), 10)
    assert said.verdict is Verdict.UNHEALTHY
    assert "answered 0.0 % of the requests, 10 % were sent to it" in said.words


def test_a_candidate_whose_callers_give_up_is_quiet_too() -> None:
    given_up = replace(stretch(0, 30), unanswered=30)
    said = judged(RevisionEvidence(NEW, (given_up,), OK_PROBES), evidence(270, name=OLD), 10)
    assert said.verdict is Verdict.UNHEALTHY
    assert "30 callers gave up" in said.words
    assert said.numbers["unanswered"] == 30


def test_callers_that_give_up_as_often_everywhere_convict_nobody() -> None:
    mine, theirs = replace(stretch(0, 1000), unanswered=10), replace(stretch(0, 9000), unanswered=90)
    said = judged(RevisionEvidence(NEW, (mine,), OK_PROBES), RevisionEvidence(OLD, (theirs,)), 10)
    assert said.verdict is Verdict.HEALTHY


def test_our_own_probes_do_not_hide_that_a_candidate_hangs() -> None:
    probed = evidence(40, probes=Probes(ok=40))
    said = judged(probed, evidence(400, name=OLD, probes=Probes(ok=40)), 10)
    assert said.verdict is Verdict.UNHEALTHY
    assert "answered 0.0 % of the requests" in said.words


def test_a_share_a_little_off_is_chance() -> None:
    assert judged(evidence(900), evidence(9100, name=OLD), 10).verdict is Verdict.HEALTHY


def test_a_service_without_any_traffic_is_not_quiet() -> None:
    assert judged(evidence(0), evidence(0, name=OLD), 10).verdict is Verdict.INCONCLUSIVE


def test_at_a_hundred_percent_there_is_no_share_to_miss() -> None:
    assert judged(evidence(1000), evidence(0, name=OLD), 100).verdict is Verdict.HEALTHY


def test_a_stable_revision_that_could_not_be_read_convicts_and_excuses_nobody() -> None:
    assert judged(evidence(1000), RevisionEvidence(OLD), 10).verdict is Verdict.HEALTHY


def test_three_failed_probes_in_a_row_convict() -> None:
    said = judged(evidence(1000, probes=FAILING_PROBES))
    assert said.verdict is Verdict.UNHEALTHY
    assert "3 probes of the tag failed in a row: timed out" in said.words


def test_two_failed_probes_in_a_row_decide_nothing() -> None:
    said = judged(evidence(1000, probes=Probes(ok=5, failed=2, failed_in_a_row=2)))
    assert said.verdict is Verdict.INCONCLUSIVE


def test_probes_that_fail_now_and_then_convict_what_dies_again_and_again() -> None:
    scattered = Probes(ok=17, failed=3, last_failure="answered 503")
    said = judged(evidence(1000, probes=scattered), evidence(9000, name=OLD), 10)
    assert said.verdict is Verdict.UNHEALTHY
    assert "3 of 20 probes of the tag failed: answered 503." in said.words
    assert judged(evidence(1000, probes=replace(scattered, failed=2))).verdict is Verdict.HEALTHY


def test_probes_that_fail_everywhere_convict_nobody() -> None:
    scattered = Probes(ok=17, failed=3, last_failure="timed out")
    said = judged(evidence(1000, probes=scattered), evidence(9000, name=OLD, probes=scattered), 10)
    assert said.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("probes", [None, Probes(), Probes(unknown=9)])
def test_a_tag_that_was_not_probed_is_unknown(probes: Probes | None) -> None:
    assert judged(evidence(1000, probes=probes)).verdict is Verdict.UNKNOWN


def test_missing_measurements_are_unknown_and_not_zero() -> None:
    assert judged(RevisionEvidence(NEW, None, OK_PROBES)).verdict is Verdict.UNKNOWN
    assert judged(RevisionEvidence(NEW, (), OK_PROBES)).verdict is Verdict.INCONCLUSIVE


def test_missing_latencies_are_unknown() -> None:
    missing = replace(evidence(1000), measured=(replace(stretch(0, 1000), latencies=None),))
    assert judged(missing).verdict is Verdict.UNKNOWN


def test_what_convicts_beats_what_is_missing() -> None:
    assert judged(evidence(10, errors=9, probes=None)).verdict is Verdict.UNHEALTHY


def test_nothing_known_of_a_revision_forbids_nothing() -> None:
    assert not is_failing(Sureness(POLICY), RevisionEvidence(OLD))
    assert not is_failing(Sureness(POLICY), evidence(30000, errors=120))
    assert is_failing(Sureness(POLICY), evidence(100, errors=20))
