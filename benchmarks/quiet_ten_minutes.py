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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.health_cost import share_of_a_core, stop_schedule
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.health.alerting.model import AlertEvent, AlertKind
from convergence_orchestration.health.alerting.sensors import SENSOR
from convergence_orchestration.health.alerting.store import AlertEvents
from convergence_orchestration_tests.e2e.platform import Platform, free_base_port

_SELECTOR = {
    "repositoryLocationName": "convergence_orchestration",
    "repositoryName": "__repository__",
    "sensorName": SENSOR,
}
_STATE = """query($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) {
... on Sensor { sensorState { id ticks(limit: 1000) { timestamp status } } } } }"""
_STOP = "mutation($id: String!) { stopSensor(id: $id) { __typename } }"
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
    stop_schedule(platform)
    assert platform.graphql(_STOP, id=sensor(platform)["id"])["stopSensor"]["__typename"] != "PythonError"
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


def recorded(platform: Platform) -> list[AlertEvent]:
    """Everything about alerts."""
    client = platform.bigquery()
    try:
        return AlertEvents(BigQuery(client)).remembered(datetime.now(UTC))
    finally:
        client.close()  # type: ignore[no-untyped-call]


def sensor(platform: Platform) -> dict[str, Any]:
    """The sensor's state, with its ticks."""
    found: dict[str, Any] = platform.graphql(_STATE, selector=_SELECTOR)["sensorOrError"]["sensorState"]
    return found


def ticks_of(platform: Platform) -> list[tuple[float, str]]:
    """The sensor's ticks, each with its time and status."""
    return [(float(tick["timestamp"]), str(tick["status"])) for tick in sensor(platform)["ticks"]]


if __name__ == "__main__":
    sys.exit(main())
