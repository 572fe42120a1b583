"""What looking after the platform's health costs: `python -m benchmarks.health_cost [--minutes N]`.

A whole platform without other work; the processor time of everything of Dagster's (daemon, code server, web server, workers of
runs) over some minutes with the schedule of `health_check` on, and over as many with it off. The emulators, which answer the
probes, are not counted. Prints rows for docs/benchmarks.md.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from convergence_orchestration_tests.e2e.platform import Platform, free_base_port

_SCHEDULE = "health_check_schedule"
_SELECTOR = {
    "repositoryLocationName": "convergence_orchestration",
    "repositoryName": "__repository__",
    "scheduleName": _SCHEDULE,
}
_STATE = """query($selector: ScheduleSelector!) { scheduleOrError(scheduleSelector: $selector) {
... on Schedule { scheduleState { id } } } }"""
_STOP = "mutation($id: String!) { stopRunningSchedule(id: $id) { __typename } }"
_ROUNDS = """query { assetOrError(assetKey: {path: ["health_status"]}) { ... on Asset {
assetMaterializations(limit: 1000) { metadataEntries { label ... on FloatMetadataEntry { floatValue } } } } } }"""
_SETTLE_SECONDS = 70


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="What the schedule of health checks costs")
    parser.add_argument("--minutes", type=int, default=5)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as name:
        platform = Platform(Path(name) / "data", free_base_port())
        platform.up()
        try:
            assert platform.admin("POST", "/bootstrap", {}).is_success
            measure(platform, minutes)
        finally:
            platform.down()


def measure(platform: Platform, minutes: int) -> None:
    """On and off, as many minutes each."""
    time.sleep(_SETTLE_SECONDS)
    before = len(rounds(platform))
    on = share_of_a_core(platform, minutes)
    took = rounds(platform)[: len(rounds(platform)) - before]
    stop_schedule(platform)
    time.sleep(_SETTLE_SECONDS)
    off = share_of_a_core(platform, minutes)
    print("| what | value |\n| --- | --- |")
    print(f"| rounds in {minutes} min | {len(took)} |")
    print(f"| processor seconds of a round's run, median | {statistics.median(took):.2f} |")
    print(f"| processor seconds of a round's run, most | {max(took):.2f} |")
    print(f"| Dagster's processes with the schedule, share of a core | {on:.2%} |")
    print(f"| the same without it | {off:.2%} |")
    print(f"| the schedule's work | {on - off:.2%} |")


def share_of_a_core(platform: Platform, minutes: int) -> float:
    """Processor time by time, of everything of Dagster's and the runs that ended meanwhile."""
    before, began = used(platform), time.monotonic()
    time.sleep(60 * minutes)
    return (used(platform) - before) / (time.monotonic() - began)


def used(platform: Platform) -> float:
    """Processor seconds up to now, with those of children that have ended."""
    return sum(sum(process.cpu_times()[:4]) for process in processes(platform))


def processes(platform: Platform) -> Iterator[psutil.Process]:
    """Everything of this platform that runs Dagster."""
    home = str(platform.data_dir / "dagster")
    for process in psutil.process_iter(["cmdline", "environ"]):
        words = " ".join(process.info["cmdline"] or ())
        if (process.info["environ"] or {}).get("DAGSTER_HOME") == home and (
            "dagster" in words or "launching" in words
        ):
            yield process


def rounds(platform: Platform) -> list[float]:
    """The processor seconds of each round's run, the newest first."""
    found = platform.graphql(_ROUNDS)["assetOrError"].get("assetMaterializations", [])
    entries = [{entry["label"]: entry.get("floatValue") for entry in one["metadataEntries"]} for one in found]
    return [float(one["processor_seconds"]) for one in entries]


def stop_schedule(platform: Platform) -> None:
    """Switch the schedule off."""
    found = platform.graphql(_STATE, selector=_SELECTOR)["scheduleOrError"]
    stopped = platform.graphql(_STOP, id=found["scheduleState"]["id"])["stopRunningSchedule"]
    assert stopped["__typename"] == "ScheduleStateResult", stopped


if __name__ == "__main__":
    main()
