"""The kill matrix: SIGKILL for a worker, the API or BigQuery at every call by which an onboarding changes something.

    python -m benchmarks.kill_matrix [--times 10]

Each trial is a tenant of its own on one platform of real processes; the boundaries and what has to be true in the end are
those of `convergence_orchestration_tests/e2e/boundaries.py`. Ends with status 1 if anything was lost or double.
"""

import argparse
import signal
import sys
import time

from benchmarks.onboarding import running_platform
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.e2e.boundaries import (
    CALLS,
    OF_THE_API,
    OF_THE_RUN,
    Trial,
    boundaries,
    callers_die,
    emulator_dies,
    what_is_wrong,
)
from convergence_orchestration_tests.e2e.platform import Platform


def main() -> None:
    """Print a Markdown table, a line for each victim."""
    parser = argparse.ArgumentParser(description="SIGKILL at every boundary of an onboarding")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--victims", nargs="*", default=["worker", "api", "emulator"])
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the platform is stopped
    wrong: list[str] = []
    print("| killed | boundaries | times each | lost or double | seconds |\n| --- | --- | --- | --- | --- |")
    with running_platform() as platform:
        assert platform.admin("POST", "/bootstrap", {}).is_success
        for victim in arguments.victims:
            begun = time.perf_counter()
            found = [sentence for turn in range(arguments.times) for sentence in of(platform, victim, turn)]
            count = len(boundaries(*_CALLS_OF[victim]))
            seconds = time.perf_counter() - begun
            print(f"| {victim} | {count} | {arguments.times} | {len(found)} | {seconds:.0f} |", flush=True)
            wrong += found
    print("\n".join(wrong))
    sys.exit(bool(wrong))


_CALLS_OF = {"worker": OF_THE_RUN, "api": OF_THE_API, "emulator": tuple(CALLS)}


def of(platform: Platform, victim: str, turn: int) -> list[str]:
    """One turn over all boundaries of a victim; what went wrong. Workers die side by side, the others alone."""
    trials = [
        Trial(boundary, TenantId(f"{victim}_{turn}_{number}_x"))
        for number, boundary in enumerate(boundaries(*_CALLS_OF[victim]))
    ]
    if victim == "worker":
        callers_die(platform, trials)
    else:
        for trial in trials:
            if victim == "api":
                callers_die(platform, [trial])
            else:
                emulator_dies(platform, trial)
    found = what_is_wrong(platform, trials)
    for trial in trials:  # every table slows the emulator
        platform.bigquery().delete_dataset(f"tenant_{trial.tenant_id}", delete_contents=True)
    return found


if __name__ == "__main__":
    main()
