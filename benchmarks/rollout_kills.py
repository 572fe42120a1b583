"""Rollouts whose processes are killed: `python -m benchmarks.rollout_kills [--victims daemon,envoy]`.

Each victim is ended by SIGKILL at every stage of a good rollout (handed over, 10, 50, 100 %), and at every stage of a bad one
(handed over, 10 %, rolled back), each a release of its own, while clients ask 100 times a second. Printed: how each ended, the
requests that failed for each kill, and for how long.
"""

import argparse
import itertools
import time
from collections.abc import Iterator

from convergence_orchestration.releases.model import EventKind, RevisionName
from convergence_orchestration_tests.releases.traffic.clients import Answer, Answers, asking
from convergence_orchestration_tests.releases.traffic.processes import (
    PATIENT_DEFINITIONS,
    VICTIMS,
    World,
    running_world,
)

RATE = 100
GOOD = (
    (EventKind.HANDED_OVER, None),
    (EventKind.STAGE_VERIFIED, 10),
    (EventKind.STAGE_VERIFIED, 50),
    (EventKind.STAGE_VERIFIED, 100),
)
"""The stages of a good rollout at which a process is killed."""
BAD = ((EventKind.HANDED_OVER, None), (EventKind.STAGE_VERIFIED, 10), (EventKind.ROLLED_BACK, None))
"""The stages of a bad one."""
_BAKE_SECONDS = 8
_HEAD = "| killed | rollout | at | ended as it should, s | failed requests | outage, s |\n| --- | --- | --- | --- | --- | --- |"


def main() -> None:
    """Kill, and print."""
    parser = argparse.ArgumentParser(description="Rollouts whose processes are killed")
    parser.add_argument("--victims", default=",".join(VICTIMS))
    given = parser.parse_args()
    with running_world(_BAKE_SECONDS, PATIENT_DEFINITIONS) as world, asking(world.works, RATE) as answers:
        print(_HEAD, flush=True)
        for victim in given.victims.split(","):
            for line in itertools.chain(good(world, victim, answers), bad(world, victim, answers)):
                print(f"| {victim} | {line} |", flush=True)
    print(f"\n{len(answers.all)} requests, {len(answers.failed)} failed")


def good(world: World, victim: str, answers: Answers) -> Iterator[str]:
    """A good rollout in which the victim is killed at each stage: it is finished all the same."""
    release = f"good-{victim}"
    began = time.time()
    candidate = world.deploy(release)
    kills = []
    for kind, percent in GOOD:
        world.until(release, kind, percent)
        kills.append((time.time(), f"{percent} %" if percent else "handed over"))
        world.processes.kill(victim)
    events = world.until(release, EventKind.FINISHED)
    took = time.time() - began
    stages = [event.traffic_percent for event in events if event.kind is EventKind.STAGE_VERIFIED]
    assert stages == [10, 50, 100], stages
    assert world.shares() == {candidate: 100}
    ends = [*(at for at, _ in kills[1:]), time.time()]
    for (at, stage), end in zip(kills, ends, strict=True):
        failed = [one for one in answers.failed if at - 1 <= one.sent < end - 1]
        yield f"good | {stage} | {took:.0f} | {_counted(failed)}"


def bad(world: World, victim: str, answers: Answers) -> Iterator[str]:
    """Bad releases, in each of which the victim is killed at one stage: each is rolled back and never seen again."""
    (stable,) = world.shares()
    for number, (kind, percent) in enumerate(BAD):
        release = f"bad-{victim}-{number}"
        candidate = world.deploy(release, "errors")
        world.until(release, kind, percent)
        at = time.time()
        world.processes.kill(victim)
        events = world.until(release, EventKind.STOPPED)
        stopped = events[-1].recorded_at.timestamp()
        judged = [event for event in events if event.kind is EventKind.ROLLED_BACK]
        assert judged, [event.kind for event in events]
        assert world.shares() == {stable: 100}
        time.sleep(3)
        require_unseen(answers, candidate, stopped)
        failed = [one for one in answers.failed if at - 1 <= one.sent and one.status != 500]  # noqa: PLR2004 the fault itself
        stage = f"{percent} %" if percent else kind.replace("_", " ").lower()
        yield f"bad | {stage} | {stopped - at:.1f} | {_counted(failed)}"


def require_unseen(answers: Answers, candidate: RevisionName, since: float) -> None:
    """Make sure that nobody was answered by a revision that was judged bad, once its traffic had gone."""
    seen = [one for one in answers.all if one.sent > since and one.revision == candidate]
    assert not seen, seen[:3]


def _counted(failed: list[Answer]) -> str:
    if not failed:
        return "0 | 0"
    return f"{len(failed)} | {max(one.sent for one in failed) - min(one.sent for one in failed):.1f}"


if __name__ == "__main__":
    main()
