"""Nothing moves: what cannot be decided holds, and calls a person in time."""

from dataclasses import replace

import pytest

from convergence_orchestration.releases.actions import (
    Hold,
    Nothing,
    Pause,
    ShiftTraffic,
)
from convergence_orchestration.releases.evidence import Evidence
from convergence_orchestration.releases.model import (
    Condition,
    EventKind,
    Verdict,
)
from convergence_orchestration.releases.rollout import decide
from convergence_orchestration_tests.releases.builders import (
    NEW,
    OK_PROBES,
    OLD,
    POLICY,
    finished_world,
    measured,
    world,
)


@pytest.mark.parametrize(
    "change", [{"observed_generation": 1}, {"reconciling": True}, {"condition": Condition.FAILED}]
)
def test_traffic_of_a_service_that_is_not_settled_is_not_verified(change: dict[str, object]) -> None:
    there = world()
    there.tick()
    there.service = replace(there.service, **change)  # type: ignore[arg-type]
    assert isinstance(there.tick(), Nothing)


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
