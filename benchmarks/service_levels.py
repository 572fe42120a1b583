"""Reported levels of service against the front door's raw access log: `python -m benchmarks.service_levels [--seconds N]`.

A real front door over two revisions under load; the levels that Cloud Monitoring's metrics give, beside the same numbers
computed from each line of the access log, and beside what buckets as wide as Cloud Run's own (each 1.4 times the one before)
would give. Ends with an exception if P95 or the error rate differ by 2 % or more. Prints rows
for docs/benchmarks.md.
"""

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from convergence_orchestration.health.model import ServiceLevels, Window
from convergence_orchestration.releases.evidence import Histogram
from convergence_orchestration.releases.traffic.meters import measurement_of
from convergence_orchestration_tests.health.front_door_log import (
    Exact,
    SpreadLoad,
    exact,
    logged,
    measured_door,
    wait_until_complete,
)

ALLOWED = 0.02


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="Levels of service against the raw access log")
    parser.add_argument("--seconds", type=float, default=30)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as name, measured_door(Path(name)) as (door, reader):
        SpreadLoad(door, seconds).run()
        levels = reader.read(Window.FIVE_MINUTES, wait_until_complete(reader, datetime.now(UTC)))
        requests = logged(Path(name), levels[0].start, levels[0].end)
        meters = reader.monitoring.read("api", levels[0].start, levels[0].end, Window.FIVE_MINUTES.length)
    print("| revision | requests | | P95, ms | P99, ms | errors, % |\n| --- | --- | --- | --- | --- | --- |")
    for one in levels:
        report(one, exact([each for each in requests if one.revision in {None, each.revision}]))
        steps = [
            step for name, known in meters.known.items() if one.revision in {None, name} for step in known
        ]
        wide = Histogram.sum([found for step in steps if (found := measurement_of(step).latencies)])
        print(
            f"| {one.revision or 'all'} | | wide buckets | {wide.quantile(0.95):.2f} | {wide.quantile(0.99):.2f} | |"
        )


def report(levels: ServiceLevels, judge: Exact) -> None:
    """Three rows: the log's, what is reported, and how far it is off."""
    assert levels.p95_ms is not None
    assert levels.p99_ms is not None
    assert levels.error_rate is not None
    off = (
        levels.p95_ms / judge.p95_ms - 1,
        levels.p99_ms / judge.p99_ms - 1,
        levels.error_rate / judge.error_rate - 1 if judge.error_rate else 0.0,
    )
    name = levels.revision or "all"
    rows = (
        ("log", judge.requests, judge.p95_ms, judge.p99_ms, judge.error_rate),
        ("reported", levels.requests, levels.p95_ms, levels.p99_ms, levels.error_rate),
    )
    for what, requests, p95, p99, rate in rows:
        print(f"| {name} | {requests} | {what} | {p95:.2f} | {p99:.2f} | {100 * rate:.3f} |")
    print(f"| {name} | | off | {off[0]:+.2%} | {off[1]:+.2%} | {off[2]:+.2%} |")
    assert levels.requests == judge.requests
    assert abs(off[0]) < ALLOWED, f"P95 is off by {off[0]:.2%}"
    assert abs(off[2]) < ALLOWED, f"the error rate is off by {off[2]:.2%}"


if __name__ == "__main__":
    main()
