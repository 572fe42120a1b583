"""Rollouts whose processes are ended by SIGKILL, one after the other; `python -m benchmarks.rollout_kills` does all of it."""

import itertools
import time
from collections.abc import Iterator

import pytest

from convergence_orchestration.releases.model import EventKind, Verdict
from convergence_orchestration_tests.releases.traffic.clients import asking
from convergence_orchestration_tests.releases.traffic.processes import (
    PATIENT_DEFINITIONS,
    World,
    running_world,
)

_RATE = 50
_VICTIMS = ("daemon", "code-server", "control", "node", "front-door")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_world(4, PATIENT_DEFINITIONS) as world:
        yield world


def test_a_good_rollout_ends_as_it_would_have_and_no_request_fails(world: World) -> None:
    candidate = world.deploy("good")
    victims = itertools.cycle(_VICTIMS)
    with asking(world.works, _RATE) as answers:
        for percent in (10, 50, 100):
            world.until("good", EventKind.STAGE_VERIFIED, percent)
            world.processes.kill(next(victims))
            world.processes.kill(next(victims))
        events = world.until("good", EventKind.FINISHED)

    stages = [event.traffic_percent for event in events if event.kind is EventKind.STAGE_VERIFIED]
    assert stages == [10, 50, 100]
    assert world.shares() == {candidate: 100}
    assert answers.failed == []


def test_a_bad_release_is_rolled_back_and_stays_away_whoever_dies_meanwhile(world: World) -> None:
    (stable,) = world.shares()
    candidate = world.deploy("bad", "errors")
    with asking(world.works, _RATE) as answers:
        world.until("bad", EventKind.STAGE_VERIFIED, 10)
        for victim in ("envoy", "code-server", "control", "daemon"):
            world.processes.kill(victim)
        events = world.until("bad", EventKind.STOPPED)
        time.sleep(3)  # who was judged bad is to be given the time to come back

    (rolled_back,) = [event for event in events if event.kind is EventKind.ROLLED_BACK]
    assert rolled_back.verdict is Verdict.UNHEALTHY
    assert world.shares() == {stable: 100}
    gone = events[-1].recorded_at.timestamp()
    assert [one for one in answers.all if one.sent > gone and one.revision == candidate] == []
