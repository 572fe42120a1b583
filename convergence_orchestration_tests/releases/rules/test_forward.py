"""More traffic for the candidate: stages, their verification, and who takes over."""

from dataclasses import replace
from datetime import timedelta

from convergence_orchestration.releases.actions import (
    Finish,
    Hold,
    Nothing,
    Pause,
    ShiftTraffic,
    StageVerified,
)
from convergence_orchestration.releases.evidence import Evidence
from convergence_orchestration.releases.model import (
    Condition,
    EventKind,
    TrafficTarget,
)
from convergence_orchestration.releases.rollout import decide
from convergence_orchestration_tests.releases.builders import (
    NEW,
    NEWER,
    NOON,
    OLD,
    POLICY,
    V3,
    measured,
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


def test_the_only_revision_is_not_convicted_for_what_its_callers_waited_for() -> None:
    there = world(stable=None)
    there.tick()
    there.tick()
    bake = POLICY.bake.total_seconds()
    there.measure(NEW, measured(there.now, bake, 5000, slow=1500))
    assert isinstance(there.tick(), Nothing)
    there.wait(bake)
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
