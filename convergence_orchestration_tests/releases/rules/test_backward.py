"""Traffic goes back: what convicts a candidate, and which revisions come back at once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from convergence_orchestration.releases.actions import (
    Finish,
    Nothing,
    RollBack,
    Stop,
)
from convergence_orchestration.releases.model import (
    Condition,
    EventKind,
    Percent,
    TrafficTarget,
    Verdict,
)
from convergence_orchestration_tests.releases.builders import (
    NEW,
    NEWER,
    OLD,
    POLICY,
    V3,
    finished_world,
    measured,
    revision,
    world,
)


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
