"""The kill matrix: SIGKILL for a worker, the API, the daemon or BigQuery at every call by which an onboarding changes something.

    python -m benchmarks.kill_matrix [--times 10] [--victims worker daemon api emulator]

Each trial is a tenant of its own on one platform of real processes; the boundaries and what has to be true in the end are
those of `convergence_orchestration_tests/e2e/boundaries.py`. The daemon dies together with the worker, for it makes none
of these calls: it is what would start the worker's successor. Ends with status 1 if anything was lost or double.
"""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import batched
from pathlib import Path

from benchmarks.onboarding import running_platform
from convergence_orchestration.local_gcp.faults import Victim
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.e2e.boundaries import (
    CALLS,
    OF_THE_API,
    OF_THE_RUN,
    Trial,
    boundaries,
    die,
    what_is_wrong,
)
from convergence_orchestration_tests.e2e.platform import Platform

_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Row:
    """Who dies at which calls, and during how many onboardings side by side: BigQuery's death hits all that are under way."""

    victim: Victim
    calls: tuple[str, ...]
    side_by_side: int
    daemon_too: bool = False


ROWS = {
    "worker": Row("caller", OF_THE_RUN, 10 * len(OF_THE_RUN)),
    "daemon": Row("caller", OF_THE_RUN, 10 * len(OF_THE_RUN), daemon_too=True),
    "api": Row("caller", OF_THE_API, 1),
    "emulator": Row("emulator", tuple(CALLS), 6),
}


def main() -> None:
    """Print a Markdown table, a line for each victim."""
    parser = argparse.ArgumentParser(description="SIGKILL at every boundary of an onboarding")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--victims", nargs="*", choices=ROWS, default=[*ROWS])
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the platform is stopped
    wrong: list[str] = []
    print("| killed | boundaries | times each | lost or double | seconds |\n| --- | --- | --- | --- | --- |")
    with running_platform() as platform:
        assert platform.admin("POST", "/bootstrap", {}).is_success
        for victim in arguments.victims:
            begun = time.perf_counter()
            found = killed(platform, victim, arguments.times)
            count = len(boundaries(*ROWS[victim].calls))
            seconds = time.perf_counter() - begun
            print(f"| {victim} | {count} | {arguments.times} | {len(found)} | {seconds:.0f} |", flush=True)
            wrong += found
    print("\n".join(wrong))
    sys.exit(bool(wrong))


def killed(platform: Platform, name: str, times: int) -> list[str]:
    """Every boundary of a victim so many times; what went wrong."""
    row = ROWS[name]
    trials = [
        Trial(boundary, TenantId(f"{name}_{turn}_{number}_x"))
        for turn in range(times)
        for number, boundary in enumerate(boundaries(*row.calls))
    ]
    found, done = [], 0
    for some in batched(trials, row.side_by_side, strict=False):
        begun = time.perf_counter()
        with daemon_dying(platform) if row.daemon_too else nullcontext():
            die(platform, some, row.victim)
        wrong = what_is_wrong(platform, some)
        for trial in some:  # every table slows the emulator
            platform.bigquery().delete_dataset(f"tenant_{trial.tenant_id}", delete_contents=True)
        done += len(some)
        seconds = (
            time.perf_counter() - begun
        )  # told at once: a run of an hour that is cut short has shown something, too
        sys.stderr.write(f"{name}: {done} of {len(trials)}, {len(wrong)} wrong, {seconds:.0f} s\n")
        found += wrong
    return found


@contextmanager
def daemon_dying(platform: Platform) -> Iterator[None]:
    """Meanwhile Dagster's daemon is killed each time the emulator has killed somebody."""
    is_over = threading.Event()
    log = platform.data_dir / "logs" / "bigquery.log"

    def watch() -> None:
        known = deaths(log)
        while not is_over.wait(_LOOK_SECONDS):
            if (now := deaths(log)) != known:
                known = now
                kill_daemon(platform)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        is_over.set()
        watching.join()


def deaths(log: Path) -> int:
    """How many processes the emulator has killed."""
    return log.read_text("utf-8").count("A process is killed")


def kill_daemon(platform: Platform) -> None:
    """SIGKILL, if it is there."""
    pid = platform.status()["services"]["daemon"]["pid"]
    with suppress(ProcessLookupError):
        if pid:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
