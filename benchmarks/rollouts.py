"""Thousands of synthetic rollouts: how often a healthy candidate is rolled back, and how soon a faulty one is.

What belongs here: made-up traffic, put to the very functions that decide in production (`decide`, the judge, the history's
events); Cloud Run does at once what it is asked. `python -m benchmarks.rollouts [--rollouts N]` prints rows for
docs/benchmarks.md.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import numpy as np

from convergence_orchestration.releases.actions import Finish, Pause, RollBack, ShiftTraffic
from convergence_orchestration.releases.evidence import Histogram, Measurement, Probes
from convergence_orchestration.releases.model import Percent
from convergence_orchestration.releases.standing import Asked
from convergence_orchestration_tests.releases.builders import NEW, OLD, POLICY, World, world

LOOK = timedelta(seconds=10)
PROBES_A_LOOK = 2
MOST_LOOKS = 2000
SEED = 20261123
GOOD_ERRORS = 0.001
BOUNDS = (50.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1000.0)
HEALTHY = (0.30, 0.40, 0.20, 0.07, 0.02, 0.006, 0.003, 0.001)
"""Proportions of latencies between the bounds: 3 % above 200 ms, 0.4 % above 500 ms."""
P95_OF_600 = (0.25, 0.30, 0.15, 0.08, 0.08, 0.07, 0.06, 0.01)


@dataclass(frozen=True)
class Scenario:
    """What the service does: requests a second, proportions of errors, latencies, from when the candidate is faulty."""

    name: str
    rate: float
    errors: float = GOOD_ERRORS
    stable_errors: float = GOOD_ERRORS
    latencies: tuple[float, ...] = HEALTHY
    answers: float = 1.0
    """The part of the candidate's requests that is ever answered."""
    faulty_from: float = 0.0
    """Seconds of a stage without the fault."""
    is_measured: bool = True
    stages: tuple[Percent, ...] = POLICY.stages


SCENARIOS = (
    Scenario("healthy, 0.1 % errors, 50/s", 50),
    Scenario("healthy, 0.1 % errors, 10/s", 10),
    Scenario("healthy, 0.01 % errors, 50/s", 50, errors=0.0001, stable_errors=0.0001),
    Scenario("1 % errors, 50/s to it", 50, errors=0.01, stages=(Percent(100),)),
    Scenario("1 % errors, 50/s to the service", 50, errors=0.01),
    Scenario("1 % errors behind 300 s of each stage", 50, errors=0.01, faulty_from=300),
    Scenario("5 % errors", 50, errors=0.05),
    Scenario("20 % errors, 100/s", 100, errors=0.2),
    Scenario("p95 600 ms", 50, latencies=P95_OF_600),
    Scenario("hangs", 50, answers=0.0),
    Scenario("half of it hangs", 50, answers=0.5),
    Scenario("outage: both 20 % errors", 50, errors=0.2, stable_errors=0.2),
    Scenario("no traffic at all", 0),
    Scenario("nothing can be read", 50, is_measured=False),
)


@dataclass(frozen=True)
class Outcome:
    """How one rollout ended.

    Attributes:
        end: finished, rolled back or paused.
        percent: the candidate's share when it was rolled back.
        seconds: from the fault to the rollback, of the stage in which it was found.
        unfounded: promotions for which less was measured than the policy wants.
        harmed: errors and unanswered requests of the candidate.
    """

    end: str
    percent: int
    seconds: float
    unfounded: int
    harmed: int


class Meters:
    """Made-up measurements of both revisions, one for every look."""

    def __init__(self, scenario: Scenario, rng: np.random.Generator) -> None:
        self._scenario = scenario
        self._rng = rng
        self._stage: datetime | None = None
        self._mine: list[Measurement] = []
        self._theirs: list[Measurement] = []
        self.harmed = 0

    def show(self, there: World) -> None:
        """Add the last stretch to what the world knows."""
        asked = there.rollout.asked
        start = there.now - LOOK
        if asked is None or asked.verified_at is None or start < asked.verified_at:
            return
        if asked.verified_at != self._stage:
            self._stage, self._mine, self._theirs = asked.verified_at, [], []
        faulty = (start - asked.verified_at).total_seconds() >= self._scenario.faulty_from
        sent = int(self._rng.poisson(self._scenario.rate * LOOK.total_seconds()))
        to_new = int(self._rng.binomial(sent, asked.percent / 100))
        self._mine.append(self._of_candidate(start, to_new, faulty=faulty))
        errors = self._scenario.stable_errors if faulty else GOOD_ERRORS
        self._theirs.append(self._stretch(start, sent - to_new, errors, HEALTHY))
        if self._scenario.is_measured:
            probes = Probes(ok=PROBES_A_LOOK * len(self._mine))  # only the traffic shows the fault
            there.measure(NEW, *self._mine, probes=probes)
            there.measure(OLD, *self._theirs, probes=probes)

    def _of_candidate(self, start: datetime, sent: int, *, faulty: bool) -> Measurement:
        if not faulty:
            return self._stretch(start, sent, GOOD_ERRORS, HEALTHY)
        answered = int(self._rng.binomial(sent, self._scenario.answers))
        made = self._stretch(start, answered, self._scenario.errors, self._scenario.latencies)
        self.harmed += made.errors + sent - answered
        return made

    def _stretch(
        self, start: datetime, requests: int, errors: float, latencies: tuple[float, ...]
    ) -> Measurement:
        requests += PROBES_A_LOOK  # the meters count those too
        counts = self._rng.multinomial(requests, latencies)
        failed = int(self._rng.binomial(requests, errors))
        histogram = Histogram(BOUNDS, tuple(int(count) for count in counts))
        return Measurement(start, start + LOOK, requests, failed, histogram)


def roll_out(scenario: Scenario, seed: int) -> Outcome:
    """One rollout, looked at again and again, to its end."""
    there = world(policy=replace(POLICY, stages=scenario.stages))
    there.known.clear()
    meters = Meters(scenario, np.random.default_rng([SEED, seed]))
    unfounded = 0
    for _ in range(MOST_LOOKS):
        meters.show(there)
        asked = there.rollout.asked
        action = there.tick()
        percent = int(asked.percent) if asked is not None else 0
        if isinstance(action, ShiftTraffic | Finish) and asked is not None:
            unfounded += not _is_founded(there, asked)
        if isinstance(action, RollBack) and asked is not None and asked.verified_at is not None:
            seconds = (there.now - asked.verified_at).total_seconds() - scenario.faulty_from
            return Outcome("rolled back", percent, seconds, unfounded, meters.harmed)
        if isinstance(action, Finish | Pause):
            return Outcome("finished" if isinstance(action, Finish) else "paused", percent, 0.0, unfounded, 0)
        if not isinstance(action, ShiftTraffic):
            there.wait(LOOK.total_seconds())
    raise AssertionError("a rollout that never ends")


def _is_founded(there: World, asked: Asked) -> bool:
    """Whether a promotion had what the policy wants, counted anew: the whole bake measured, and enough answers in it."""
    if asked.verified_at is None:
        return False
    ends = asked.verified_at + there.policy.bake
    counted = [one for one in there.known[NEW].measured or () if one.start >= asked.verified_at]
    enough = sum(one.requests for one in counted) >= there.policy.judge.minimum_requests
    return enough and max(one.end for one in counted) >= ends


def main() -> None:
    """Every scenario in every seed, one line of a table for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=2000, help="for each scenario")
    parser.add_argument("--only", default="", help="scenarios whose name contains this")
    given = parser.parse_args()
    began = time.monotonic()
    print(
        "| scenario | finished | rolled back | paused | in its first stage | s to it, p50 | p99 | harmed, p50 |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    unfounded = rollouts = 0
    with ProcessPoolExecutor() as pool:
        for scenario in SCENARIOS:
            if given.only not in scenario.name:
                continue
            several = pool.map(partial(roll_out, scenario), range(given.rollouts), chunksize=50)
            outcomes = list(several)
            print(_row(scenario, outcomes), flush=True)
            unfounded += sum(outcome.unfounded for outcome in outcomes)
            rollouts += len(outcomes)
    seconds = time.monotonic() - began
    print(f"\n{rollouts} rollouts, {unfounded} promotions without evidence, {seconds:.0f} s")


def _row(scenario: Scenario, outcomes: list[Outcome]) -> str:
    back = [outcome for outcome in outcomes if outcome.end == "rolled back"]
    first = [outcome for outcome in back if outcome.percent == scenario.stages[0]]
    cells = [f"{_percent(outcomes, end)}" for end in ("finished", "rolled back", "paused")]
    cells.append(f"{100 * len(first) / len(outcomes):.2f} %")
    seconds = [outcome.seconds for outcome in back]
    cells += [f"{np.percentile(seconds, at):.0f}" if seconds else "" for at in (50, 99)]
    cells.append(f"{np.percentile([outcome.harmed for outcome in back], 50):.0f}" if back else "")
    return f"| {scenario.name} | {' | '.join(cells)} |"


def _percent(outcomes: list[Outcome], end: str) -> str:
    return f"{100 * sum(outcome.end == end for outcome in outcomes) / len(outcomes):.2f} %"


if __name__ == "__main__":
    main()
