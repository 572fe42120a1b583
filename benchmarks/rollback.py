"""Bad releases under load with every real process: `python -m benchmarks.rollback [--times N] [--faults errors,hang]`.

100 requests a second at the front door. Each fault is an image of its own: every fifth answer is an error, answers take 600 ms,
requests are accepted and never answered, the process dies at every fifteenth request, and errors that begin late, when the sensor
watches and no run does. Measured: seconds from when the first bad request was sent until the stable revision has all traffic,
verified; how many requests clients counted as harmed, and how many the report counts.
"""

import argparse
import time
from dataclasses import dataclass

import httpx

from convergence_orchestration.releases.model import EventKind, RevisionName
from convergence_orchestration.releases.report.writing import report_on
from convergence_orchestration.releases.traffic.opening import opened_scene
from convergence_orchestration_tests.releases.traffic.clients import PATIENCE_SECONDS, Answer, Answers, asking
from convergence_orchestration_tests.releases.traffic.processes import World, running_world

RATE = 100
FAULTS = {
    "errors": "20 % errors",
    "slow": "600 ms latency",
    "hang": "hangs",
    "crash": "crash loop",
    "late": "20 % errors, from the 250th request on",
}
_BAKE_SECONDS = 60
_HEAD = "| fault | s to stable 100 % | harmed, by clients | harmed, by the report | why |\n| --- | --- | --- | --- | --- |"


@dataclass(frozen=True)
class Outcome:
    """How one bad release ended: seconds from its first bad request, what clients and what the report counted, and why."""

    seconds: float
    harmed: int
    reported: str
    why: str


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="Rollbacks with every real process")
    parser.add_argument("--times", type=int, default=3, help="for each fault")
    parser.add_argument("--faults", default=",".join(FAULTS))
    given = parser.parse_args()
    slowest = 0.0
    with running_world(_BAKE_SECONDS) as world, asking(world.works, RATE) as answers:
        (stable,) = world.shares()
        print(_HEAD, flush=True)
        for fault in given.faults.split(","):
            for number in range(given.times):
                found = roll_back(world, f"{fault}-{number}", fault, answers, stable)
                slowest = max(slowest, found.seconds)
                cells = (FAULTS[fault], f"{found.seconds:.1f}", found.harmed, found.reported, found.why)
                print(f"| {' | '.join(map(str, cells))} |", flush=True)
    print(f"\nslowest: {slowest:.1f} s of the 10 s that are allowed; {len(answers.all)} requests")


def roll_back(world: World, release: str, fault: str, answers: Answers, stable: RevisionName) -> Outcome:
    """Deploy it and wait until it is gone."""
    candidate = world.deploy(release, fault)
    asked = world.until(release, EventKind.TRAFFIC_ASKED)[-1].recorded_at.timestamp()
    events = world.until(release, EventKind.STOPPED)
    assert world.shares() == {stable: 100}, world.shares()
    (rolled_back,) = [event for event in events if event.kind is EventKind.ROLLED_BACK]
    stopped = events[-1].recorded_at.timestamp()
    _until_all_have_ended(answers, stopped)
    bad = [one for one in answers.bad(candidate, asked) if _is_due_to(fault, one)]
    assert bad, "no request was harmed"
    assert bad[-1].sent < stopped, "a request was harmed after the end"
    return Outcome(stopped - bad[0].sent, len(bad), _reported(world, release), rolled_back.reason)


def _is_due_to(fault: str, one: Answer) -> bool:
    """A busy machine is slow by itself, and its clients give up now and then."""
    if fault in {"errors", "late"}:
        return one.status == httpx.codes.INTERNAL_SERVER_ERROR
    return bool(one.revision) if fault == "slow" else one.status != httpx.codes.OK


def _until_all_have_ended(answers: Answers, moment: float) -> None:
    """Wait until every request that was sent before that moment has been answered or given up."""
    while not any(one.sent > moment + PATIENCE_SECONDS + 1 for one in answers.all):
        time.sleep(0.2)


def _reported(world: World, release: str) -> str:
    site = world.works.site
    with opened_scene(site.settings, site.specification, site.events.bigquery) as scene:
        return str(report_on(scene, world.works.order(release).release_id).story.harm)


if __name__ == "__main__":
    main()
