"""Whatever happens in whatever order, some things never do."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from convergence_orchestration.releases.actions import Action, Finish, RollBack, ShiftTraffic, Stop
from convergence_orchestration.releases.history import fold
from convergence_orchestration.releases.model import Condition, EventKind, ReleaseId, RevisionName, Verdict
from convergence_orchestration.releases.policy import JudgeSettings, RolloutPolicy
from convergence_orchestration_tests.releases.builders import (
    FAILING_PROBES,
    NEW,
    NEWER,
    OK_PROBES,
    OLD,
    V2,
    V3,
    measured,
    world,
)

POLICY = RolloutPolicy(
    bake=timedelta(seconds=60),
    hold=timedelta(seconds=120),
    settle=timedelta(seconds=30),
    judge=JudgeSettings(minimum_requests=600),
)
REVISIONS = st.sampled_from([OLD, NEW, NEWER])
RELEASES = st.sampled_from([V2, V3])
KILLS = st.sampled_from(["not", "before recording", "before asking"])
HANDS = (
    EventKind.PAUSED,
    EventKind.RESUMED,
    EventKind.PROMOTE_NOW,
    EventKind.ABORTED,
    EventKind.RETRIED,
    EventKind.FROZEN,
    EventKind.UNFROZEN,
)


class AnyRollout(RuleBasedStateMachine):
    """People, Cloud Run, meters and kills, as they like; after each step the rollout does what it decides."""

    def __init__(self) -> None:
        super().__init__()
        self.there = world(policy=POLICY)
        self.there.becomes(NEWER, Condition.SUCCEEDED)

    @rule(kill=KILLS)
    def looks(self, kill: str) -> None:
        there = self.there
        action = there.decide()
        assert action == there.decide()
        self._is_allowed(action)
        if kill != "before recording":
            there.record(action)
        if kill == "not":
            there.carry_out(action)
        there.wait(1)

    @rule(seconds=st.sampled_from([5, 30, 60, 200]))
    def waits(self, seconds: int) -> None:
        self.there.wait(seconds)

    @rule(slow=st.booleans())
    def cloud_run(self, slow: bool) -> None:  # noqa: FBT001 drawn
        self.there.is_slow = slow
        self.there.settle()

    @rule(name=REVISIONS, ready=st.sampled_from(Condition))
    def a_revision_changes(self, name: RevisionName, ready: Condition) -> None:
        self.there.becomes(name, ready)

    @rule(
        name=REVISIONS,
        requests=st.sampled_from([0, 10, 499, 5000]),
        bad=st.sampled_from([0, 0, 0, 0.2]),
        fails=st.booleans(),
        late=st.sampled_from([0, 0, 10]),
    )
    def meters(self, name: RevisionName, requests: int, bad: float, fails: bool, late: int) -> None:  # noqa: FBT001
        start = self._verified_at() - timedelta(seconds=late)
        seconds = max((self.there.now - start).total_seconds(), 1)
        probes = FAILING_PROBES if fails and bad else OK_PROBES
        self.there.measure(name, measured(start, seconds, requests, int(requests * bad)), probes=probes)

    @rule(
        requests=st.sampled_from([0, 599, 600, 5000]),
        bad=st.sampled_from([0, 0, 0, 0.2]),
        late=st.sampled_from([0, 0, 0, 10]),
        seconds=st.sampled_from([59, 60]),
    )
    def the_stage_bakes(self, requests: int, bad: float, late: int, seconds: int) -> None:
        """The rollout gets as far as a verified stage, whose whole bake is measured, or nearly."""
        for _ in range(2):
            self.looks("not")
        start = self._verified_at() - timedelta(seconds=late)
        self.there.now = max(self.there.now, start + POLICY.bake)
        for name in (OLD, self.there.rollout.revision):
            counted = measured(start, seconds, requests, int(requests * bad) if name != OLD else 0)
            self.there.measure(name, counted)
        self.looks("not")

    @rule(name=REVISIONS)
    def meters_break(self, name: RevisionName) -> None:
        self.there.known.pop(name, None)

    @rule(kind=st.sampled_from(HANDS), release=RELEASES)
    def somebody_wants(self, kind: EventKind, release: str) -> None:
        until = (self.there.now + timedelta(seconds=90)).isoformat()
        self.there.event(kind, V2 if release == V2 else V3, evidence={"until": until})
        self.there.wait(1)

    @rule(name=st.none() | REVISIONS)
    def somebody_rolls_back(self, name: RevisionName | None) -> None:
        self.there.event(EventKind.ROLL_BACK_ASKED, revision=name)
        self.there.wait(1)

    @rule(share=st.sampled_from([0, 20, 100]))
    def somebody_else_moves_the_traffic(self, share: int) -> None:
        self.there.traffic({NEW: share, OLD: 100 - share})

    @rule(name=REVISIONS)
    def another_release(self, name: RevisionName) -> None:
        number = sum(event.kind is EventKind.HANDED_OVER for event in self.there.events)
        self.there.hand_over(name, release=ReleaseId(f"v{number + 2}"))
        for one in (OLD, NEW, NEWER):
            self.there.becomes(one, Condition.SUCCEEDED)
        self.there.settle()
        self.there.wait(1)

    def _verified_at(self) -> datetime:
        asked = self.there.rollout.asked
        return (asked and asked.verified_at) or self.there.now - timedelta(seconds=1)

    def _is_allowed(self, action: Action) -> None:
        history = fold(self.there.events)
        if isinstance(action, ShiftTraffic | RollBack):
            getters = [target for target in action.targets if target.percent]
            assert sum(target.percent for target in getters) == 100
            assert not {target.revision for target in getters} & history.bad
            assert all(self.there.service.is_ready(target.revision) for target in getters)
        assert not (isinstance(action, ShiftTraffic) and action.verdict is Verdict.UNHEALTHY)
        rollout = self.there.rollout
        if rollout.promote_now is not None or rollout.asked is None or rollout.returning:
            return
        is_promotion = isinstance(action, ShiftTraffic) and action.percent > rollout.asked.percent
        if is_promotion or isinstance(action, Finish):
            self._is_founded()
        if isinstance(action, ShiftTraffic):
            assert rollout.waits is None

    def _is_founded(self) -> None:
        """A promotion has a whole bake of this stage behind it, with enough answers in it."""
        asked = self.there.rollout.asked
        assert asked is not None
        assert asked.verified_at is not None
        known = self.there.known[self.there.rollout.revision].measured or ()
        counted = [one for one in known if one.start >= asked.verified_at]
        assert sum(one.requests for one in counted) >= POLICY.judge.minimum_requests
        assert max(one.end for one in counted) >= asked.verified_at + POLICY.bake


AnyRollout.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyRollout = AnyRollout.TestCase


@given(st.lists(KILLS, max_size=40), st.sampled_from([10, 50, 100, None]))
@settings(max_examples=60, deadline=None)
def test_killed_anywhere_the_end_is_the_same(kills: list[str], faulty_at: int | None) -> None:
    there = world(
        policy=replace(POLICY, asks=100, settle=timedelta(minutes=5))
    )  # a person is called later than here
    plan = iter(kills)
    for _ in range(200):
        asked = there.rollout.asked
        if asked is not None and asked.verified_at is not None and not there.rollout.returning:
            there.bake_well()
            if faulty_at == asked.percent:
                there.measure(NEW, measured(asked.verified_at, 5, 500, errors=100))
        action = there.decide()
        kill = next(plan, "not")
        if kill != "before recording":
            there.record(action)
        if kill == "not":
            there.carry_out(action)
        if isinstance(action, Finish | Stop) and kill != "before recording":
            break
        there.wait(0.5)
    assert there.shares == ({NEW: 100} if faulty_at is None else {OLD: 100})
    steps = [
        (event.kind, event.traffic_percent) for event in there.events if event.kind is not EventKind.PAUSED
    ]
    stages = [stage for stage in (10, 50, 100) if faulty_at is None or stage <= faulty_at]
    wanted: list[object] = [(EventKind.HANDED_OVER, None)]
    for stage in stages:
        wanted += [(EventKind.TRAFFIC_ASKED, stage), (EventKind.STAGE_VERIFIED, stage)]
    wanted += (
        [(EventKind.ROLLED_BACK, 0), (EventKind.STOPPED, None)] if faulty_at else [(EventKind.FINISHED, None)]
    )
    assert list(dict.fromkeys(steps)) == wanted


@given(st.permutations(range(8)), st.lists(st.integers(0, 7), max_size=8))
def test_events_count_once_and_in_the_order_of_their_times(order: list[int], repeated: list[int]) -> None:
    there = world()
    there.to_stage(50)
    there.wait(1)
    there.event(EventKind.PAUSED)
    events = [
        replace(event, recorded_at=there.now + timedelta(seconds=at)) for at, event in enumerate(there.events)
    ]
    assert len(events) < 8
    shuffled = [events[at] for at in (*order, *repeated) if at < len(events)]
    assert fold(shuffled) == fold(events)
