from dataclasses import replace
from datetime import timedelta

import pytest

from convergence_orchestration.releases.actions import (
    Finish,
    Hold,
    Nothing,
    Pause,
    RollBack,
    ShiftTraffic,
    StageVerified,
    Stop,
)
from convergence_orchestration.releases.evidence import Evidence
from convergence_orchestration.releases.model import (
    Condition,
    EventKind,
    Percent,
    TrafficTarget,
    Verdict,
)
from convergence_orchestration.releases.rollout import decide
from convergence_orchestration_tests.releases.builders import (
    NEW,
    NEWER,
    NOON,
    OK_PROBES,
    OLD,
    POLICY,
    V3,
    finished_world,
    measured,
    revision,
    world,
)


def test_without_a_release_there_is_nothing_to_do() -> None:
    assert isinstance(decide(world().service, Evidence(), [], POLICY, NOON), Nothing)


def test_a_good_release_goes_to_everybody_in_stages() -> None:
    there = world()
    seen = []
    for percent in (10, 50, 100):
        there.to_stage(percent)
        seen.append(dict(there.shares))
    there.bake_well()
    assert isinstance(there.tick(), Finish)
    assert seen == [{NEW: 10, OLD: 90}, {NEW: 50, OLD: 50}, {NEW: 100}]
    assert there.kinds[1:] == [EventKind.TRAFFIC_ASKED, EventKind.STAGE_VERIFIED] * 3 + [EventKind.FINISHED]
    assert isinstance(there.tick(), Nothing)


def test_the_first_stage_comes_with_the_release_and_names_its_numbers() -> None:
    action = world().decide()
    assert isinstance(action, ShiftTraffic)
    assert (action.percent, action.stable, action.etag) == (10, OLD, "etag-1")
    assert action.numbers["service"] == {"generation": 1, "shares": {OLD: 100}}


def test_the_first_revision_that_there_ever_was_gets_everything_and_still_bakes() -> None:
    there = world(stable=None)
    action = there.tick()
    assert isinstance(action, ShiftTraffic)
    assert (action.percent, action.stable) == (100, None)
    assert isinstance(there.tick(), StageVerified)
    assert isinstance(there.tick(), Nothing)
    there.bake_well()
    assert isinstance(there.tick(), Finish)


def test_the_clock_of_a_stage_starts_when_its_traffic_is_verified() -> None:
    there = world()
    there.is_slow = True
    there.tick()
    there.wait(200)
    assert isinstance(there.tick(), Nothing)
    there.settle()
    there.wait(50)
    assert isinstance(there.tick(), StageVerified)
    assert there.rollout.asked is not None
    assert there.rollout.asked.verified_at == NOON + timedelta(seconds=250)
    there.measure(NEW, measured(there.now, 600, 5000))
    there.measure(OLD, measured(there.now, 600, 45000))
    there.now = NOON + timedelta(seconds=849)
    assert isinstance(there.tick(), Nothing)
    there.wait(1)
    assert isinstance(there.tick(), ShiftTraffic)


@pytest.mark.parametrize(
    "change", [{"observed_generation": 1}, {"reconciling": True}, {"condition": Condition.FAILED}]
)
def test_traffic_of_a_service_that_is_not_settled_is_not_verified(change: dict[str, object]) -> None:
    there = world()
    there.tick()
    there.service = replace(there.service, **change)  # type: ignore[arg-type]
    assert isinstance(there.tick(), Nothing)


def test_traffic_that_is_never_served_calls_a_person() -> None:
    there = world()
    there.is_slow = True
    there.tick()
    there.wait(300)
    assert isinstance(there.tick(), Nothing)  # exactly in time
    there.wait(1)
    action = there.tick()
    assert isinstance(action, Pause)
    assert action.because == "not_served"


def test_exactly_the_minimum_of_requests_is_enough() -> None:
    few = replace(POLICY, judge=replace(POLICY.judge, minimum_requests=800))
    for requests, wanted in ((799, Hold), (800, ShiftTraffic)):
        there = world(policy=few)
        there.to_stage(10)
        there.bake_well(requests)
        assert isinstance(there.tick(), wanted)


def test_too_few_requests_hold_and_neither_promote_nor_roll_back() -> None:
    there = world()
    there.to_stage(10)
    there.bake_well(requests=100)
    action = there.tick()
    assert isinstance(action, Hold)
    assert action.verdict is Verdict.INCONCLUSIVE
    assert "100 answers are too few" in action.reason
    assert there.shares == {NEW: 10, OLD: 90}


def test_missing_measurements_hold_and_neither_promote_nor_roll_back() -> None:
    there = world()
    there.to_stage(10)
    there.bake_well()
    there.known.clear()
    action = there.tick()
    assert isinstance(action, Hold)
    assert action.verdict is Verdict.UNKNOWN
    assert there.shares == {NEW: 10, OLD: 90}


def test_no_traffic_at_all_holds() -> None:
    there = world()
    there.to_stage(10)
    there.bake_well(requests=0)
    action = there.tick()
    assert isinstance(action, Hold)
    assert action.verdict is Verdict.INCONCLUSIVE


def test_a_hold_is_recorded_once_while_its_reason_stays() -> None:
    there = world()
    there.to_stage(10)
    there.bake_well(requests=100)
    for _ in range(3):
        there.tick()
        there.wait(5)
    assert there.kinds.count(EventKind.HELD) == 1


def test_meters_that_do_not_reach_the_end_of_the_bake_hold() -> None:
    there = world()
    there.to_stage(10)
    there.bake_well()
    start = there.now - POLICY.bake
    there.measure(NEW, measured(start, 599, 5000))
    action = there.tick()
    assert isinstance(action, Hold)
    assert action.because == "meters_behind"


def test_a_hold_past_its_deadline_pauses_and_alerts_once() -> None:
    there = world()
    there.to_stage(10)
    there.bake_well(requests=100)
    there.wait(POLICY.hold.total_seconds())
    assert isinstance(there.tick(), Hold)  # exactly at the deadline
    there.wait(1)
    action = there.tick()
    assert isinstance(action, Pause)
    assert "v2 waits for a person" in action.alert
    assert isinstance(there.tick(), Nothing)
    assert there.kinds.count(EventKind.PAUSED) == 1
    assert there.shares == {NEW: 10, OLD: 90}


def test_evidence_of_earlier_stages_does_not_count() -> None:
    there = world()
    there.to_stage(10)
    there.bake_well()
    there.tick()
    there.wait(5)
    there.tick()  # 50 % verified
    there.wait(600)
    action = there.tick()  # the meters still show the first stage alone
    assert isinstance(action, Hold)
    assert there.shares == {NEW: 50, OLD: 50}


def test_errors_of_an_earlier_stage_convict_nobody() -> None:
    there = world()
    there.to_stage(10)
    first = there.now
    there.bake_well()
    there.tick()
    there.wait(5)
    there.tick()
    there.measure(NEW, measured(first, 10, 100, errors=50), measured(there.now, 10, 100))
    assert isinstance(there.tick(), Nothing)


def test_a_breach_at_ten_percent_returns_all_traffic_to_the_stable_revision() -> None:
    there = world()
    there.to_stage(10)
    there.measure(NEW, measured(there.now, 1, 10, errors=3))
    there.measure(OLD, measured(there.now, 1, 90))
    there.wait(1)
    action = there.tick()
    assert isinstance(action, RollBack)
    assert (action.to, action.verdict) == (OLD, Verdict.UNHEALTHY)
    assert "3 of 10 answers were errors" in action.reason
    assert there.shares == {OLD: 100}
    assert isinstance(there.tick(), Stop)
    assert isinstance(there.tick(), Nothing)


def test_a_breach_convicts_before_the_traffic_is_verified() -> None:
    there = world()
    there.is_slow = True
    there.tick()
    there.measure(NEW, measured(there.now, 1, 10, errors=5))
    assert isinstance(there.tick(), RollBack)


def test_a_breach_between_asking_and_verifying_convicts_afterwards_too() -> None:
    there = world()
    there.is_slow = True
    there.tick()
    asked_at = there.now
    there.wait(5)
    there.settle()
    there.tick()
    there.measure(NEW, measured(asked_at, 1, 10, errors=5), measured(there.now, 1, 1))
    assert isinstance(there.tick(), RollBack)


def test_a_breach_while_paused_rolls_back() -> None:
    there = world()
    there.to_stage(10)
    there.event(EventKind.PAUSED)
    there.measure(NEW, measured(there.now, 1, 10, errors=10))
    assert isinstance(there.tick(), RollBack)


def test_a_breach_beats_a_promotion_by_hand() -> None:
    there = world()
    there.to_stage(10)
    there.event(EventKind.PROMOTE_NOW)
    there.measure(NEW, measured(there.now, 1, 10, errors=10))
    assert isinstance(there.tick(), RollBack)


def test_after_a_hundred_percent_the_last_bake_still_counts() -> None:
    there = world()
    there.to_stage(100)
    there.wait(599)
    there.measure(NEW, measured(there.now - timedelta(seconds=2), 2, 100, errors=20))
    assert isinstance(there.tick(), RollBack)
    assert there.shares == {OLD: 100}


def test_a_candidate_that_fails_is_rolled_back_with_cloud_runs_own_words() -> None:
    there = world()
    there.to_stage(10)
    there.becomes(NEW, Condition.FAILED, "container failed to start")
    action = there.tick()
    assert isinstance(action, RollBack)
    assert "container failed to start" in action.reason
    assert action.targets == (
        TrafficTarget(OLD, Percent(100)),
    )  # the tag of what failed would break the next deployment


def test_a_candidate_that_fails_or_vanishes_before_it_had_traffic_is_the_end() -> None:
    for ready in (Condition.FAILED, None):
        there = world()
        if ready is not None:
            there.becomes(NEW, ready)
        else:
            there.service = replace(there.service, revisions=(revision(OLD),))
        assert isinstance(there.tick(), Stop)
        assert there.shares == {OLD: 100}


def test_a_candidate_that_is_not_ready_is_waited_for_until_the_deadline() -> None:
    there = world()
    there.becomes(NEW, Condition.PENDING, "starting")
    action = there.tick()
    assert isinstance(action, Hold)
    assert (action.because, there.shares) == ("candidate_pending", {OLD: 100})
    there.wait(POLICY.hold.total_seconds() + 1)
    assert isinstance(there.tick(), Pause)


def test_a_stage_whose_stable_revision_cannot_serve_calls_a_person() -> None:
    there = world()
    there.becomes(OLD, Condition.FAILED)
    action = there.tick()
    assert isinstance(action, Pause)
    assert action.because == "unfit"
    there.event(EventKind.PROMOTE_NOW, percent=100)
    there.tick()
    assert there.shares == {NEW: 100}


def test_tags_of_others_survive_every_change() -> None:
    there = world()
    there.service = replace(there.service, asked=(*there.service.asked, TrafficTarget(OLD, tag="blue")))
    there.settle()
    there.to_stage(10)
    there.measure(NEW, measured(there.now, 1, 10, errors=9))
    there.tick()
    assert {(one.revision, one.tag) for one in there.service.asked if one.tag} == {
        (NEW, "candidate"),
        (OLD, "blue"),
    }


def test_a_new_release_takes_over_from_stage_one_with_the_same_stable_revision() -> None:
    there = world()
    there.to_stage(50)
    there.becomes(NEWER, Condition.SUCCEEDED)
    there.wait(5)
    there.hand_over(NEWER, stable=NEW, release=V3)  # the job saw a split, and takes the wrong half for stable
    there.measure(NEWER)
    there.tick()
    assert there.shares == {NEWER: 10, OLD: 90}


def test_a_release_that_takes_over_while_another_is_taken_back_has_the_same_stable_revision() -> None:
    there = world()
    there.is_slow = True
    there.tick()
    there.measure(NEW, measured(there.now, 1, 10, errors=9))
    there.tick()
    there.becomes(NEWER, Condition.SUCCEEDED)
    there.hand_over(NEWER, stable=None, release=V3)
    there.tick()
    assert there.shares == {NEWER: 10, OLD: 90}


def test_a_job_that_hands_over_twice_does_not_start_again() -> None:
    there = world()
    there.to_stage(50)
    there.hand_over()
    assert isinstance(there.tick(), Nothing)
    assert there.shares == {NEW: 50, OLD: 50}


def test_a_revision_that_was_judged_bad_is_not_tried_again_unless_asked() -> None:
    there = world()
    there.to_stage(10)
    there.measure(NEW, measured(there.now, 1, 10, errors=9))
    there.tick()
    there.tick()
    there.known.clear()
    there.wait(5)
    there.hand_over(NEW, release=V3)
    assert isinstance(there.tick(), Stop)
    there.wait(5)
    there.event(EventKind.RETRIED, V3)
    there.tick()
    assert there.shares == {NEW: 10, OLD: 90}


def test_deploying_the_stable_revision_again_mid_rollout_takes_the_rollout_back_at_once() -> None:
    there = world()
    there.to_stage(50)
    there.wait(1)
    there.hand_over(OLD, release=V3)
    assert isinstance(there.tick(), RollBack)
    assert there.shares == {OLD: 100}
    assert isinstance(there.tick(), Finish)
    assert isinstance(there.tick(), Nothing)


def test_a_new_revision_made_from_the_stable_ones_template_is_the_same() -> None:
    there = world()
    there.to_stage(50)
    there.service = replace(
        there.service, revisions=(*there.service.revisions, revision(NEWER, template=OLD))
    )
    there.wait(1)
    there.hand_over(NEWER, release=V3)
    there.tick()
    assert there.shares == {OLD: 100}
    assert isinstance(there.tick(), Stop)


@pytest.mark.parametrize(("candidate", "end"), [(OLD, Finish), (NEWER, Stop)])
def test_deploying_what_is_stable_and_has_everything_is_over_at_once(candidate: str, end: type) -> None:
    there = world()
    there.events.clear()
    there.service = replace(
        there.service, revisions=(*there.service.revisions, revision(NEWER, template=OLD))
    )
    there.hand_over(OLD if candidate == OLD else NEWER, release=V3)
    assert isinstance(there.tick(), end)
    assert there.shares == {OLD: 100}


def test_within_the_rollback_window_an_earlier_good_revision_comes_back_without_stages() -> None:
    there = finished_world()
    there.wait(POLICY.rollback_window.total_seconds())
    there.hand_over(OLD, stable=NEW, release=V3)
    action = there.tick()
    assert isinstance(action, RollBack)
    assert "comes back without stages" in action.reason
    assert there.shares == {OLD: 100}
    assert isinstance(there.tick(), Finish)


def test_behind_the_rollback_window_an_earlier_good_revision_takes_the_stages() -> None:
    there = finished_world()
    there.wait(POLICY.rollback_window.total_seconds() + 1)
    there.hand_over(OLD, stable=NEW, release=V3)
    there.tick()
    assert there.shares == {OLD: 10, NEW: 90}


def test_an_earlier_good_revision_that_cannot_serve_is_no_shortcut() -> None:
    there = finished_world()
    there.service = replace(
        there.service, revisions=(*there.service.revisions, revision(NEWER, template=OLD))
    )
    there.becomes(OLD, Condition.PENDING)
    there.hand_over(NEWER, stable=NEW, release=V3)
    there.tick()
    assert there.shares == {NEWER: 10, NEW: 90}


def test_a_service_that_cannot_be_read_is_left_alone_until_a_person_is_called() -> None:
    there = world()
    there.tick()
    evidence = Evidence((*there.known.values(),))
    at_first = decide(None, evidence, there.events, POLICY, there.now + POLICY.hold)
    assert isinstance(at_first, Hold)
    there.wait(POLICY.hold.total_seconds() + 1)
    later = decide(None, evidence, there.events, POLICY, there.now)
    assert isinstance(later, Pause)
    assert "could not be read" in later.alert


def test_a_service_that_cannot_be_read_is_nobodys_concern_after_the_release() -> None:
    there = finished_world()
    assert isinstance(decide(None, Evidence(), there.events, POLICY, there.now), Nothing)


def test_missing_probes_hold() -> None:
    there = world()
    there.to_stage(10)
    there.bake_well()
    there.measure(NEW, *(there.known[NEW].measured or ()), probes=None)
    action = there.tick()
    assert isinstance(action, Hold)
    assert "not probed" in action.reason
    there.measure(NEW, *(there.known[NEW].measured or ()), probes=OK_PROBES)
    assert isinstance(there.tick(), ShiftTraffic)
