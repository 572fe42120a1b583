import json
from datetime import timedelta

from convergence_orchestration.releases.actions import Nothing
from convergence_orchestration.releases.model import EventKind, ReleaseEvent
from convergence_orchestration.releases.records import event_of
from convergence_orchestration_tests.releases.builders import NEW, OLD, World, measured, world


def recorded(there: World) -> ReleaseEvent | None:
    return event_of(there.decide(), there.rollout, environment="staging", service="api", now=there.now)


def test_the_same_decision_made_twice_is_the_same_event_whoever_makes_it_and_when() -> None:
    there = world()
    first = recorded(there)
    there.wait(3)
    second = recorded(there)
    assert first is not None
    assert second is not None
    assert first.event_id == second.event_id
    assert (first.kind, first.traffic_percent, first.stable_revision) == (EventKind.TRAFFIC_ASKED, 10, OLD)


def test_a_decision_made_again_after_it_was_recorded_is_another_event() -> None:
    there = world()
    first = recorded(there)
    there.record(there.decide())
    second = recorded(there)
    assert first is not None
    assert second is not None
    assert first.event_id != second.event_id


def test_a_rollback_is_recorded_with_its_verdict_its_words_and_numbers_that_are_json() -> None:
    there = world()
    there.to_stage(10)
    there.measure(NEW, measured(there.now, 1, 10, errors=9))
    there.wait(timedelta(seconds=1).total_seconds())
    event = recorded(there)
    assert event is not None
    assert (event.kind, event.traffic_percent, event.verdict) == (EventKind.ROLLED_BACK, 0, "UNHEALTHY")
    assert json.loads(json.dumps(event.evidence))["errors"] == 9


def test_doing_nothing_leaves_no_event() -> None:
    there = world()
    assert (
        event_of(Nothing(reason=""), there.rollout, environment="staging", service="api", now=there.now)
        is None
    )
