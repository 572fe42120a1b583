"""What nobody planned: traffic that others move, rollbacks with nowhere to go, changes that never arrive."""

from dataclasses import replace

import pytest

from convergence_orchestration.releases.actions import (
    Nothing,
    Pause,
    RollBack,
    ShiftTraffic,
    StageVerified,
    Stop,
)
from convergence_orchestration.releases.model import Condition, EventKind, Percent, TrafficTarget, Verdict
from convergence_orchestration_tests.releases.builders import (
    ANCIENT,
    FAILING_PROBES,
    NEW,
    NEWER,
    OLD,
    POLICY,
    V2,
    V3,
    World,
    finished_world,
    measured,
    revision,
    world,
)


def test_traffic_moved_by_somebody_else_stops_the_automation() -> None:
    there = world()
    there.to_stage(10)
    there.traffic({NEW: 30, OLD: 70})
    action = there.tick()
    assert isinstance(action, Pause)
    assert action.outside_change
    assert f"{NEW} 30 %, {OLD} 70 % instead of {NEW} 10 %, {OLD} 90 %" in action.alert
    there.bake_well()
    assert isinstance(there.tick(), Nothing)
    assert there.shares == {NEW: 30, OLD: 70}
    assert there.kinds.count(EventKind.OUTSIDE_CHANGE) == 1


def test_what_somebody_else_moved_is_not_touched_even_when_it_looks_bad() -> None:
    there = world()
    there.to_stage(10)
    there.traffic({NEW: 30, OLD: 70})
    there.measure(NEW, measured(there.now, 1, 10, errors=9))
    there.tick()
    assert isinstance(there.tick(), Nothing)
    assert there.shares == {NEW: 30, OLD: 70}


def test_traffic_moved_to_an_earlier_split_is_moved_by_somebody_else_too() -> None:
    there = world()
    there.to_stage(50)
    there.traffic({NEW: 10, OLD: 90})
    assert isinstance(there.tick(), Pause)


def test_resuming_asks_for_the_stage_again_and_its_clock_starts_again() -> None:
    there = world()
    there.to_stage(10)
    there.bake_well()
    there.traffic({OLD: 100})
    there.tick()
    there.wait(5)
    there.event(EventKind.RESUMED)
    assert isinstance(there.tick(), ShiftTraffic)
    assert there.shares == {NEW: 10, OLD: 90}
    assert isinstance(there.tick(), StageVerified)
    assert isinstance(there.tick(), Nothing)


def test_a_rollback_by_hand_works_after_a_change_from_outside() -> None:
    there = world()
    there.to_stage(10)
    there.traffic({NEW: 30, OLD: 70})
    there.tick()
    there.event(EventKind.ABORTED)
    there.tick()
    assert there.shares == {OLD: 100}


def test_a_promotion_by_hand_works_after_a_change_from_outside() -> None:
    there = world()
    there.to_stage(10)
    there.traffic({NEW: 30, OLD: 70})
    there.tick()
    there.wait(1)
    there.event(EventKind.PROMOTE_NOW)
    there.tick()
    assert there.shares == {NEW: 50, OLD: 50}


def test_a_deployment_in_between_is_no_change_of_the_traffic() -> None:
    there = world()
    action = there.decide()
    there.record(action)
    there.traffic({OLD: 100})  # a new generation with the same split; our etag is stale now
    there.carry_out(action)
    assert there.shares == {OLD: 100}
    assert isinstance(there.tick(), ShiftTraffic)
    assert there.shares == {NEW: 10, OLD: 90}


def test_traffic_moved_by_somebody_else_before_ours_was_verified_is_noticed() -> None:
    there = world()
    there.tick()
    there.traffic({NEW: 77, OLD: 23})
    action = there.tick()
    assert isinstance(action, Pause)
    assert action.outside_change


def test_killed_between_recording_and_asking_asks_again() -> None:
    there = world()
    there.record(there.decide())
    assert there.shares == {OLD: 100}
    assert isinstance(there.tick(), ShiftTraffic)
    assert there.shares == {NEW: 10, OLD: 90}


def test_killed_behind_asking_goes_on_with_the_verification() -> None:
    there = world()
    there.tick()
    assert isinstance(there.tick(), StageVerified)


def test_what_is_asked_for_again_and_again_and_never_arrives_calls_a_person() -> None:
    there = world()
    for _ in range(POLICY.asks):
        there.record(there.decide())
        there.wait(1)
    there.record(there.decide())
    there.wait(1)
    action = there.decide()
    assert isinstance(action, Pause)
    there.record(action)
    there.event(EventKind.RESUMED)
    there.tick()
    assert there.shares == {NEW: 10, OLD: 90}


def rolling_back() -> World:
    there = world()
    there.to_stage(10)
    there.is_slow = True
    there.measure(NEW, measured(there.now, 1, 10, errors=9))
    there.tick()
    return there


def test_a_rollback_is_over_when_it_is_verified() -> None:
    there = rolling_back()
    assert isinstance(there.tick(), Nothing)
    there.settle()
    assert isinstance(there.tick(), Stop)


def test_killed_between_recording_a_rollback_and_asking_rolls_back_all_the_same() -> None:
    there = world()
    there.to_stage(10)
    there.measure(NEW, measured(there.now, 1, 10, errors=9))
    there.record(there.decide())
    there.known.clear()  # and nothing can be measured any more
    assert isinstance(there.tick(), RollBack)
    assert there.shares == {OLD: 100}


def test_a_rollback_that_takes_long_calls_a_person_and_goes_on() -> None:
    there = rolling_back()
    there.wait(POLICY.settle.total_seconds() + 1)
    action = there.tick()
    assert isinstance(action, Pause)
    assert "is not served yet" in action.alert
    assert isinstance(there.tick(), Nothing)
    there.settle()
    assert isinstance(there.tick(), Stop)


def test_a_rollback_that_never_arrives_is_asked_for_all_the_same_after_a_person_was_called() -> None:
    there = world()
    there.to_stage(10)
    there.measure(NEW, measured(there.now, 1, 10, errors=9))
    for _ in range(POLICY.asks + 3):
        there.record(there.decide())
        there.wait(1)
    assert EventKind.PAUSED in there.kinds
    there.tick()
    assert there.shares == {OLD: 100}


def test_a_rollback_that_somebody_else_turns_around_stops_the_automation() -> None:
    there = rolling_back()
    there.traffic({NEWER: 100})
    action = there.tick()
    assert isinstance(action, Pause)
    assert action.outside_change
    assert isinstance(there.tick(), Nothing)
    there.wait(1)
    there.event(EventKind.RESUMED)
    there.tick()
    assert there.shares == {OLD: 100}


def test_a_target_that_fails_on_the_way_back_is_replaced() -> None:
    there = rolling_back()
    there.becomes(OLD, Condition.FAILED)
    action = there.tick()
    assert isinstance(action, Pause)  # nobody was stable before it
    assert action.because == "nowhere_to_go"


def with_ancestry(old: Condition = Condition.SUCCEEDED) -> World:
    """A rollout of NEW over OLD, of whose predecessor ANCIENT the events tell."""
    there = world()
    there.events.clear()
    there.becomes(ANCIENT, Condition.SUCCEEDED)
    there.hand_over(OLD, ANCIENT, V3)
    there.event(EventKind.FINISHED, V3, OLD, ANCIENT)
    there.hand_over(NEW, OLD, V2)
    there.to_stage(10)
    there.becomes(OLD, old)
    return there


def test_a_rollback_whose_target_is_unhealthy_goes_to_whatever_is_healthy_and_says_so() -> None:
    there = with_ancestry()
    there.measure(OLD, probes=FAILING_PROBES)
    there.measure(NEW, measured(there.now, 1, 10, errors=9))
    action = there.tick()
    assert isinstance(action, RollBack)
    assert action.to == ANCIENT
    assert f"so it goes to {ANCIENT}" in action.reason


def test_a_rollback_whose_target_cannot_serve_goes_to_whatever_can() -> None:
    there = with_ancestry(Condition.FAILED)
    there.measure(NEW, measured(there.now, 1, 10, errors=9))
    there.tick()
    assert there.shares == {ANCIENT: 100}


def test_a_target_with_gross_errors_of_its_own_is_unhealthy() -> None:
    there = with_ancestry()
    there.measure(OLD, measured(there.now, 1, 900, errors=90))
    there.measure(NEW, measured(there.now, 1, 100, errors=90))
    there.tick()
    assert there.shares == {ANCIENT: 100}


def test_when_everybody_looks_unhealthy_the_stable_revision_is_still_better_than_the_bad_one() -> None:
    there = world()
    there.to_stage(10)
    there.measure(OLD, measured(there.now, 1, 90), probes=FAILING_PROBES)
    there.measure(NEW, measured(there.now, 1, 10, errors=9))
    action = there.tick()
    assert isinstance(action, RollBack)
    assert "looks unhealthy too, but there is no better one" in action.reason


def test_with_nowhere_to_go_a_person_is_called_once() -> None:
    there = world(stable=None)
    there.tick()
    there.tick()
    there.measure(NEW, measured(there.now, 1, 10, errors=9))
    action = there.tick()
    assert isinstance(action, Pause)
    assert action.verdict is Verdict.UNHEALTHY
    assert "no other revision" in action.alert
    there.tick()
    assert there.kinds.count(EventKind.PAUSED) == 1


def test_an_abort_with_nowhere_to_go_calls_a_person_once_and_works_later() -> None:
    there = world()
    there.to_stage(10)
    there.becomes(OLD, Condition.FAILED)
    there.event(EventKind.ABORTED)
    assert isinstance(there.tick(), Pause)
    there.tick()
    assert there.kinds.count(EventKind.PAUSED) == 1
    there.becomes(OLD, Condition.SUCCEEDED)
    there.tick()
    assert there.shares == {OLD: 100}


def test_changes_after_the_end_are_nobodys_concern() -> None:
    there = finished_world()
    there.traffic({OLD: 100})
    assert isinstance(there.tick(), Nothing)


@pytest.mark.parametrize("kind", [EventKind.STARTED, EventKind.BUILT, EventKind.DECIDED])
def test_events_of_the_report_change_nothing(kind: EventKind) -> None:
    there = world()
    there.event(kind)
    assert isinstance(there.tick(), ShiftTraffic)


def test_events_that_lack_what_they_need_change_nothing() -> None:
    there = world()
    there.to_stage(10)
    before = there.rollout
    there.event(EventKind.HANDED_OVER, V3)
    there.event(EventKind.ROLLED_BACK)
    there.event(EventKind.STAGE_VERIFIED, percent=50)
    assert replace(there.rollout, last_at=before.last_at, last_event_id=before.last_event_id) == before


def test_a_candidate_that_has_traffic_before_the_first_stage_is_brought_to_that_stage() -> None:
    there = world()
    there.traffic({NEW: 60, OLD: 40})
    there.tick()
    assert there.shares == {NEW: 10, OLD: 90}


def test_a_revision_with_two_lines_is_read_as_their_sum() -> None:
    there = world()
    there.to_stage(10)
    lines = (
        TrafficTarget(NEW, Percent(4)),
        TrafficTarget(NEW, Percent(6), "candidate"),
        TrafficTarget(OLD, Percent(90)),
    )
    there.service = replace(
        there.service, asked=lines, serving=lines, revisions=(revision(OLD), revision(NEW))
    )
    assert isinstance(there.tick(), Nothing)


def test_an_asking_that_does_not_say_what_it_was_based_on_is_asked_again() -> None:
    there = world()
    there.event(EventKind.TRAFFIC_ASKED, V2, NEW, OLD, 10)
    assert isinstance(there.tick(), ShiftTraffic)
    assert there.shares == {NEW: 10, OLD: 90}
