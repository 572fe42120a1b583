"""People's hands: at any moment, and before the timer."""

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
from convergence_orchestration.releases.model import Condition, EventKind, Verdict
from convergence_orchestration.releases.policy import FreezeWindow
from convergence_orchestration_tests.releases.builders import (
    ANCIENT,
    FAILING_PROBES,
    NEW,
    NEWER,
    NOON,
    OLD,
    POLICY,
    V2,
    V3,
    World,
    finished_world,
    measured,
    world,
)


def test_a_paused_release_stays_where_it_is_although_it_is_healthy() -> None:
    there = world()
    there.to_stage(10)
    there.bake_well()
    there.event(EventKind.PAUSED)
    assert isinstance(there.tick(), Nothing)
    assert there.shares == {NEW: 10, OLD: 90}


def test_a_resumed_release_goes_on_with_what_was_measured_meanwhile() -> None:
    there = world()
    there.to_stage(10)
    there.bake_well()
    there.event(EventKind.PAUSED)
    there.wait(60)
    there.event(EventKind.RESUMED)
    there.tick()
    assert there.shares == {NEW: 50, OLD: 50}


def test_a_resumed_release_has_a_deadline_of_its_own() -> None:
    there = world()
    there.to_stage(10)
    there.bake_well(requests=100)
    there.wait(POLICY.hold.total_seconds() + 1)
    there.tick()
    there.event(EventKind.RESUMED)
    there.wait(POLICY.hold.total_seconds())
    assert isinstance(there.tick(), Hold)
    there.wait(1)
    assert isinstance(there.tick(), Pause)


def test_a_pause_that_comes_in_between_decision_and_event_is_kept() -> None:
    there = world()
    there.to_stage(10)
    there.bake_well()
    action = there.decide()
    there.event(EventKind.PAUSED)
    there.record(action)
    there.carry_out(action)
    assert isinstance(there.tick(), Nothing)
    assert there.rollout.waits is not None


def test_promote_now_goes_to_the_next_stage_without_waiting() -> None:
    there = world()
    there.to_stage(10)
    there.event(EventKind.PAUSED)
    there.wait(1)
    there.event(EventKind.PROMOTE_NOW)
    action = there.tick()
    assert isinstance(action, ShiftTraffic)
    assert "dana promoted by hand" in action.reason
    assert there.shares == {NEW: 50, OLD: 50}
    assert isinstance(there.tick(), StageVerified)
    assert isinstance(there.tick(), Nothing)


def test_promote_now_to_a_named_stage_skips_those_between() -> None:
    there = world()
    there.event(EventKind.PROMOTE_NOW, percent=100)
    there.tick()
    assert there.shares == {NEW: 100}


def test_promote_now_to_a_share_that_it_has_goes_to_the_next_stage() -> None:
    there = world()
    there.to_stage(50)
    there.event(EventKind.PROMOTE_NOW, percent=10)
    there.tick()
    assert there.shares == {NEW: 100}


def test_promote_now_at_a_hundred_percent_finishes_once_that_is_verified() -> None:
    there = world()
    there.event(EventKind.PROMOTE_NOW, percent=100)
    there.tick()
    there.event(EventKind.PROMOTE_NOW)
    assert isinstance(there.tick(), StageVerified)
    assert isinstance(there.tick(), Finish)


def test_a_wish_for_everything_outlives_a_stage_that_was_asked_for_at_the_same_moment() -> None:
    there = world()
    there.to_stage(10)
    there.bake_well()
    action = there.decide()
    there.event(EventKind.PROMOTE_NOW, percent=100)
    there.record(action)
    there.carry_out(action)
    there.tick()
    assert there.shares == {NEW: 100}


def test_promote_now_of_a_release_that_is_over_does_nothing() -> None:
    there = finished_world()
    there.event(EventKind.PROMOTE_NOW)
    assert isinstance(there.tick(), Nothing)


def test_an_abort_returns_all_traffic_without_calling_the_revision_bad() -> None:
    there = world()
    there.to_stage(50)
    there.event(EventKind.ABORTED)
    action = there.tick()
    assert isinstance(action, RollBack)
    assert action.verdict is Verdict.UNKNOWN
    assert there.shares == {OLD: 100}
    assert isinstance(there.tick(), Stop)
    there.event(EventKind.ABORTED)
    assert isinstance(there.tick(), Nothing)


def test_an_abort_after_the_promotion_goes_back_to_the_revision_before() -> None:
    there = finished_world()
    there.event(EventKind.ABORTED)
    there.tick()
    assert there.shares == {OLD: 100}
    assert isinstance(there.tick(), Stop)


def test_an_abort_that_meets_the_end_of_the_release_still_counts() -> None:
    there = world()
    there.to_stage(100)
    there.bake_well()
    action = there.decide()
    there.event(EventKind.ABORTED)
    there.record(action)
    there.tick()
    assert there.shares == {OLD: 100}


def test_an_abort_of_an_unhealthy_candidate_calls_it_bad_too() -> None:
    there = world()
    there.to_stage(10)
    there.event(EventKind.ABORTED)
    there.measure(NEW, measured(there.now, 1, 10, errors=9))
    action = there.tick()
    assert isinstance(action, RollBack)
    assert action.verdict is Verdict.UNHEALTHY


def test_a_retry_after_an_abort_starts_from_the_first_stage() -> None:
    there = world()
    there.to_stage(50)
    there.event(EventKind.ABORTED)
    there.tick()
    there.wait(1)
    there.event(EventKind.RETRIED)  # the abort is not even verified yet
    there.tick()
    assert there.shares == {NEW: 10, OLD: 90}
    there.tick()
    there.bake_well()
    there.tick()
    assert there.shares == {NEW: 50, OLD: 50}


def test_a_retry_of_an_unknown_or_a_finished_release_changes_nothing() -> None:
    there = finished_world()
    there.event(EventKind.RETRIED)
    there.event(EventKind.RETRIED, V3)
    assert isinstance(there.tick(), Nothing)


def test_an_earlier_release_retried_after_a_newer_one_finished_has_the_newer_ones_revision_as_stable() -> (
    None
):
    there = world()
    there.to_stage(10)
    there.event(EventKind.ABORTED)
    there.tick()
    there.tick()
    there.becomes(NEWER, Condition.SUCCEEDED)
    there.measure(NEWER)
    there.hand_over(NEWER, release=V3)
    there.to_stage(100)
    there.bake_well()
    there.tick()
    there.event(EventKind.RETRIED, V2)
    there.tick()
    assert there.shares == {NEW: 10, NEWER: 90}


def test_a_rollback_to_a_named_revision_goes_there_in_one_step() -> None:
    there = finished_world()
    there.becomes(ANCIENT, Condition.SUCCEEDED)
    there.event(EventKind.ROLL_BACK_ASKED, revision=ANCIENT)
    there.tick()
    assert there.shares == {ANCIENT: 100}
    assert isinstance(there.tick(), Stop)
    assert isinstance(there.tick(), Nothing)


def test_a_rollback_without_a_name_goes_to_the_stable_revision() -> None:
    there = world()
    there.to_stage(50)
    there.event(EventKind.ROLL_BACK_ASKED, V3)  # whatever release it is written down for
    there.tick()
    assert there.shares == {OLD: 100}


def test_a_rollback_of_a_service_that_never_had_a_release_works() -> None:
    there = world()
    there.events.clear()
    there.event(EventKind.ROLL_BACK_ASKED)
    assert isinstance(there.tick(), Nothing)
    there.event(EventKind.ROLL_BACK_ASKED, revision=NEW)
    assert isinstance(there.tick(), RollBack)
    assert there.shares == {NEW: 100}
    assert isinstance(there.tick(), Finish)


def test_a_rollback_to_a_revision_that_was_judged_bad_goes_to_a_healthy_one_and_says_so() -> None:
    there = world()
    there.to_stage(10)
    there.measure(NEW, measured(there.now, 1, 10, errors=9))
    there.tick()
    there.tick()
    there.event(EventKind.ROLL_BACK_ASKED, revision=NEW)
    action = there.tick()
    assert isinstance(action, RollBack)
    assert action.to == OLD
    assert f"{NEW} cannot take the traffic or is unhealthy, so it goes to {OLD}" in action.reason


def test_a_bad_revision_gets_nothing_although_nobody_can_see_any_more_that_it_is_bad() -> None:
    there = world()
    there.to_stage(10)
    there.measure(NEW, measured(there.now, 1, 10, errors=9))
    there.tick()
    there.tick()
    there.known.clear()
    there.event(EventKind.ROLL_BACK_ASKED, revision=NEW)
    there.tick()
    assert there.shares == {OLD: 100}


def test_a_second_wish_during_a_rollback_is_heard() -> None:
    there = world()
    there.to_stage(10)
    there.becomes(ANCIENT, Condition.SUCCEEDED)
    there.measure(NEW, measured(there.now, 1, 10, errors=9))
    action = there.decide()
    there.event(EventKind.ROLL_BACK_ASKED, revision=ANCIENT)
    there.record(action)
    there.carry_out(action)
    assert there.shares == {OLD: 100}
    there.tick()
    assert there.shares == {ANCIENT: 100}


def freezing(there: World, hours: float) -> None:
    until = there.now + timedelta(hours=hours)
    there.event(EventKind.FROZEN, V3, evidence={"from": there.now.isoformat(), "until": until.isoformat()})


def test_a_freeze_by_hand_holds_the_first_stage() -> None:
    there = world()
    freezing(there, 2)
    action = there.tick()
    assert isinstance(action, Hold)
    assert action.because == "frozen"
    assert there.shares == {OLD: 100}
    there.wait(7200)
    there.tick()
    assert there.shares == {NEW: 10, OLD: 90}


def test_a_freeze_known_beforehand_holds_the_next_stage_and_its_deadline() -> None:
    window = FreezeWindow(NOON + timedelta(seconds=60), NOON + timedelta(hours=9), "the holidays")
    there = world(policy=replace(POLICY, freezes=(window,)))
    there.to_stage(10)
    there.bake_well()
    action = there.tick()
    assert isinstance(action, Hold)
    assert "the holidays" in action.reason
    there.now = window.end
    assert isinstance(there.tick(), ShiftTraffic)


def test_a_hold_behind_a_freeze_has_the_whole_time_to_its_deadline() -> None:
    window = FreezeWindow(NOON, NOON + timedelta(hours=9))
    there = world(policy=replace(POLICY, freezes=(window,)))
    there.now = window.end
    there.events[0] = replace(there.events[0], recorded_at=NOON)
    there.becomes(NEW, Condition.PENDING)
    there.wait(POLICY.hold.total_seconds())
    assert isinstance(there.tick(), Hold)


def test_a_stage_that_was_asked_for_is_verified_in_a_freeze() -> None:
    there = world()
    there.tick()
    freezing(there, 1)
    assert isinstance(there.tick(), StageVerified)


def test_a_freeze_stops_no_rollback() -> None:
    there = world()
    there.to_stage(10)
    freezing(there, 1)
    there.measure(NEW, measured(there.now, 1, 10), probes=FAILING_PROBES)
    assert isinstance(there.tick(), RollBack)


def test_promote_now_beats_a_freeze() -> None:
    there = world()
    freezing(there, 1)
    there.event(EventKind.PROMOTE_NOW)
    assert isinstance(there.tick(), ShiftTraffic)


def test_a_freeze_that_is_lifted_is_over() -> None:
    there = world()
    freezing(there, 1)
    there.event(EventKind.UNFROZEN, V3)
    assert isinstance(there.tick(), ShiftTraffic)


@pytest.mark.parametrize("evidence", [{}, {"until": "soon"}, {"until": "2026-11-23T00:00:00"}])
def test_a_freeze_without_a_time_that_makes_sense_is_none(evidence: dict[str, object]) -> None:
    there = world()
    there.event(EventKind.FROZEN, V3, evidence=evidence)
    assert isinstance(there.tick(), ShiftTraffic)


@pytest.mark.parametrize(
    "kind", [EventKind.PAUSED, EventKind.ABORTED, EventKind.PROMOTE_NOW, EventKind.RESUMED]
)
def test_hands_on_a_release_that_is_not_under_way_change_nothing(kind: EventKind) -> None:
    there = world()
    there.to_stage(10)
    there.event(kind, V3)
    assert isinstance(there.tick(), Nothing)
    assert there.shares == {NEW: 10, OLD: 90}
    assert there.rollout.waits is None
