"""Ten minutes of a healthy platform: `python -m benchmarks.quiet_ten_minutes [--minutes 10]`.

`convergence up` with its real sensors and schedules and no other work. Prints what was recorded about alerts in that time, of which
nothing may be an opening, and what health's schedule and sensor cost: processor time of everything of Dagster's with both on, and over
as long with both off. The emulators, which answer, are not counted. Rows for docs/benchmarks.md.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.health.alerting.model import AlertEvent, AlertKind
from convergence_orchestration.health.alerting.sensors import SENSOR
from convergence_orchestration.health.alerting.store import AlertEvents
from convergence_orchestration_tests.e2e.platform import Platform, free_base_port

_LOCATION = {
    "repositoryLocationName": "convergence_orchestration",
    "repositoryName": "__repository__",
}
_SCHEDULE = """query($selector: ScheduleSelector!) { scheduleOrError(scheduleSelector: $selector) {
... on Schedule { scheduleState { id } } } }"""
_STOP_SCHEDULE = "mutation($id: String!) { stopRunningSchedule(id: $id) { __typename } }"
_SENSOR = """query($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) {
... on Sensor { sensorState { id ticks(limit: 1000) { timestamp status } } } } }"""
_STOP_SENSOR = "mutation($id: String!) { stopSensor(id: $id) { __typename } }"
_SETTLE_SECONDS = 30


def main() -> int:
    """Measure, and print; 1 if an alert opened."""
    parser = argparse.ArgumentParser(description="What a healthy platform says, and what asking it costs")
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--without", type=int, default=3, help="minutes with health's work switched off")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        platform = Platform(Path(name) / "data", free_base_port())
        platform.up()
        try:
            assert platform.admin("POST", "/bootstrap", {}).is_success
            return measure(platform, asked.minutes, asked.without)
        finally:
            platform.down()


def measure(platform: Platform, minutes: int, without: int) -> int:
    """On, from the first moment, and off."""
    began = time.time()
    on = share_of_a_core(platform, minutes)
    events = recorded(platform)
    ticks = [status for at, status in ticks_of(platform) if at >= began]
    failed = ticks.count("FAILURE")
    opened = [event for event in events if event.kind is AlertKind.OPENED]
    switch_off(platform)
    time.sleep(_SETTLE_SECONDS)
    off = share_of_a_core(platform, without)
    print("| what | value |\n| --- | --- |")
    print(f"| minutes | {minutes} |")
    print(f"| evaluations, of which failed | {len(ticks)}, {failed} |")
    print(f"| alerts opened | {len(opened)} |")
    print(f"| events recorded | {dict(Counter(event.kind.value for event in events)) or 'none'} |")
    print(f"| Dagster's processes with health's schedule and sensor, share of a core | {on:.2%} |")
    print(f"| the same without them | {off:.2%} |")
    print(f"| health's work | {on - off:.2%} |")
    for event in events:
        print(event.recorded_at, event.kind, event.about_subject, event.message, file=sys.stderr)
    return 1 if opened or failed else 0


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


def switch_off(platform: Platform) -> None:
    """End health's schedule and sensor."""
    named = _LOCATION | {"scheduleName": "health_check_schedule"}
    schedule = platform.graphql(_SCHEDULE, selector=named)["scheduleOrError"]["scheduleState"]
    stopped = platform.graphql(_STOP_SCHEDULE, id=schedule["id"])["stopRunningSchedule"]
    assert stopped["__typename"] == "ScheduleStateResult", stopped
    stopped = platform.graphql(_STOP_SENSOR, id=sensor(platform)["id"])["stopSensor"]
    assert stopped["__typename"] != "PythonError", stopped


def recorded(platform: Platform) -> list[AlertEvent]:
    """Everything about alerts."""
    client = platform.bigquery()
    try:
        return AlertEvents(BigQuery(client)).remembered(datetime.now(UTC))
    finally:
        client.close()  # type: ignore[no-untyped-call]


def sensor(platform: Platform) -> dict[str, Any]:
    """The sensor's state, with its ticks."""
    found: dict[str, Any] = platform.graphql(_SENSOR, selector=_LOCATION | {"sensorName": SENSOR})[
        "sensorOrError"
    ]["sensorState"]
    return found


def ticks_of(platform: Platform) -> list[tuple[float, str]]:
    """The sensor's ticks, each with its time and status."""
    return [(float(tick["timestamp"]), str(tick["status"])) for tick in sensor(platform)["ticks"]]


if __name__ == "__main__":
    sys.exit(main())
