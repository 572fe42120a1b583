from dataclasses import replace
from datetime import timedelta

import pytest
from google.cloud.run_v2 import Revision

from convergence_orchestration.local_gcp.cloud_run.routing import Share
from convergence_orchestration.local_gcp.front_door_contract import Routes
from convergence_orchestration.local_gcp.node import plan
from convergence_orchestration.local_gcp.node.desired import Desired, WantedRevision, WantedService
from convergence_orchestration.local_gcp.node.plan import Change, Health
from convergence_orchestration.local_gcp.node.records import Instance
from convergence_orchestration.local_gcp.node.routing import next_routes, ports_in, shares_in
from convergence_orchestration.local_gcp.node.scaling import Bounds, Scale, rescale

_SERVICE = "projects/platform/locations/us-central1/services/api"
_BOUNDS = Bounds(minimum=2, maximum=5, concurrency=100)


def _instance(name: str = "one", revision: str = "api-1", **fields: object) -> Instance:
    made = Instance(
        id=name,
        revision=f"{_SERVICE}/revisions/{revision}",
        port=40000 + len(name),
        created_at=100.0,
        deadline=110.0,
        timeout_seconds=300.0,
        ready_at=101.0,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


# how many


def test_load_that_fills_the_instances_starts_more_at_once() -> None:
    assert rescale(Scale(2), _BOUNDS, 181.0, 0).count == 4
    assert rescale(Scale(2), _BOUNDS, 9999.0, 0).count == 5


def test_fewer_instances_remain_only_after_a_quiet_minute_and_one_at_a_time() -> None:
    quiet = rescale(Scale(5), _BOUNDS, 0.0, 1000.0)
    assert quiet == Scale(5, 1000.0)
    assert rescale(quiet, _BOUNDS, 0.0, 1059.0) == quiet
    smaller = rescale(quiet, _BOUNDS, 0.0, 1060.0)
    assert smaller == Scale(4, 1060.0)
    assert rescale(smaller, _BOUNDS, 9999.0, 1061.0) == Scale(5)


def test_an_unknown_load_changes_nothing_and_the_bounds_always_hold() -> None:
    assert rescale(Scale(3, 5.0), _BOUNDS, None, 100.0) == Scale(3)
    assert rescale(Scale(0), _BOUNDS, None, 0).count == 2
    assert rescale(Scale(9), _BOUNDS, None, 0).count == 5
    assert rescale(Scale(0), Bounds(0, 0, 1), 0.0, 0).count == 1


def test_a_machine_with_room_for_few_runs_few() -> None:
    assert _BOUNDS.within(None) == _BOUNDS
    assert _BOUNDS.within(4) == Bounds(2, 4, 100)
    assert rescale(Scale(0), _BOUNDS.within(1), 9999.0, 0).count == 1


# starting and failing


def test_missing_instances_are_started_together_but_after_a_failure_one_by_one() -> None:
    assert plan.change(3, [], Health(), 0.0) == Change(start=3)
    assert plan.change(3, [], Health(failures=1), 0.0) == Change(start=1)
    assert plan.change(3, [], Health(failures=1, may_start_at=5.0), 4.9) == Change()
    assert plan.change(1, [_instance()], Health(), 0.0) == Change()


def test_the_youngest_goes_first_and_one_that_is_not_ready_before_all() -> None:
    old, young = _instance("old"), _instance("young", created_at=200.0)
    starting = _instance("starting", created_at=50.0, ready_at=None)
    gone = _instance("gone", draining_at=1.0)

    assert plan.change(1, [old, young, starting, gone], Health(), 0.0) == Change(drain=(starting, young))
    assert plan.change(0, [gone], Health(), 0.0) == Change()


def test_each_failure_doubles_the_pause_up_to_ten_seconds() -> None:
    health, pauses = Health(), []
    for _ in range(8):
        health = plan.after_failure(health, "It ended.", 0.0)
        pauses.append(health.may_start_at)

    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 10, 10]


def test_a_new_revision_is_given_up_after_three_ends_or_one_that_never_answers() -> None:
    twice = plan.after_failure(plan.after_failure(Health(), "", 0), "", 0)
    assert not twice.has_failed_to_start
    assert plan.after_failure(twice, "", 0).has_failed_to_start
    assert plan.after_failure(Health(), "", 0, is_hopeless=True).has_failed_to_start


def test_failures_are_forgotten_when_an_instance_has_served_for_ten_seconds() -> None:
    health = Health(failures=4)

    assert plan.after_success(health, [_instance(ready_at=100.0)], 109.0) == health
    assert plan.after_success(health, [_instance(ready_at=100.0)], 110.0) == Health()
    assert plan.after_success(health, [_instance(ready_at=100.0, draining_at=105.0)], 110.0) == health


def test_an_instance_is_too_late_at_its_deadline() -> None:
    assert not plan.is_too_late(_instance(ready_at=None), 109.9)
    assert plan.is_too_late(_instance(ready_at=None), 110.0)
    assert not plan.is_too_late(_instance(), 110.0)


# ending


@pytest.mark.parametrize(
    ("version", "in_flight", "seconds", "may"),
    [
        (6, 0.0, 100, False),  # the front door still serves routes with it
        (7, 0.0, 0, True),
        (7, None, 0.9, False),
        (7, None, 1.0, True),
        (7, 3.0, 29, False),
        (7, 3.0, 30, True),
    ],
)
def test_an_instance_ends_when_no_request_can_reach_it(
    version: int,
    in_flight: float | None,
    seconds: float,
    may: bool,  # noqa: FBT001 a column of the table above
) -> None:
    instance = plan.left_out(_instance(draining_at=200.0), 7, was_routed=True)

    assert plan.may_be_asked_to_end(instance, version, in_flight, 200.0 + seconds) is may


def test_an_instance_without_requests_ends_at_once_and_nobody_is_asked_twice() -> None:
    instance = plan.left_out(_instance(draining_at=200.0), 7, was_routed=False)

    assert plan.may_be_asked_to_end(instance, 0, None, 200.0)
    assert not plan.may_be_asked_to_end(_instance(), 9, 0.0, 900.0)
    asked = replace(instance, terminated_at=200.0)
    assert not plan.may_be_asked_to_end(asked, 9, 0.0, 900.0)
    assert not plan.must_be_ended(asked, 209.9)
    assert plan.must_be_ended(asked, 210.0)


# routes


def _revision(short: str) -> WantedRevision:
    revision = Revision(
        name=f"{_SERVICE}/revisions/{short}",
        max_instance_request_concurrency=80,
        timeout=timedelta(seconds=60),
    )
    return WantedRevision(revision, is_new=False, is_routed=True)


def _desired(service: WantedService) -> Desired:
    revisions = {f"{_SERVICE}/revisions/{short}": _revision(short) for short in ("api-1", "api-2")}
    return Desired((service,), revisions)


def _wanted(target: dict[str, Share] | None, served: dict[str, Share]) -> WantedService:
    return WantedService(_SERVICE, target, served, is_deleting=False)


_ALL_TO_ONE = {"api-1": Share(100, ("blue",))}
_SPLIT = {"api-1": Share(90, ("blue",)), "api-2": Share(10, ())}


def test_a_revision_joins_the_routes_when_an_instance_of_it_is_ready() -> None:
    wanted = _desired(_wanted(_SPLIT, _ALL_TO_ONE))
    one, two = _instance("one", "api-1"), _instance("second", "api-2", ready_at=None)

    before = next_routes(wanted, [one, two], Routes(4))
    assert before.version == 5
    assert shares_in(before.services[0]) == _ALL_TO_ONE
    assert ports_in(before) == {one.port}

    after = next_routes(wanted, [one, replace(two, ready_at=1.0)], before)
    assert after.version == 6
    assert shares_in(after.services[0]) == _SPLIT
    assert next_routes(wanted, [one, replace(two, ready_at=2.0)], after) is after


def test_traffic_can_leave_a_revision_of_which_nothing_runs() -> None:
    back = {"api-1": Share(100, ("blue",)), "api-2": Share(0, ("green",))}
    served = {"api-1": Share(0, ("blue",)), "api-2": Share(100, ("green",))}

    routes = next_routes(_desired(_wanted(back, served)), [_instance("one", "api-1")], Routes(1))

    assert shares_in(routes.services[0]) == back
    assert routes.services[0].revisions[1].instances == ()


def test_while_the_target_is_not_known_requests_go_where_they_went() -> None:
    routes = next_routes(_desired(_wanted(None, _ALL_TO_ONE)), [_instance()], Routes(1))

    assert shares_in(routes.services[0]) == _ALL_TO_ONE


def test_a_draining_instance_and_a_deleted_service_are_left_out() -> None:
    service = _wanted(_ALL_TO_ONE, _ALL_TO_ONE)
    routes = next_routes(_desired(service), [_instance(draining_at=1.0)], Routes(1))
    assert ports_in(routes) == set()

    deleted = next_routes(_desired(replace(service, is_deleting=True)), [_instance()], routes)
    assert deleted == Routes(3)
