"""The end of all instances, for when the whole local cloud is stopped.

What belongs here: `stop_instances`. It needs neither the store nor the front door.
"""

import time
from pathlib import Path

from convergence_orchestration.local_gcp.node import processes
from convergence_orchestration.local_gcp.node.plan import GRACE_SECONDS
from convergence_orchestration.local_gcp.node.records import Records

_LOOK_SECONDS = 0.05


def stop_instances(data_dir: Path, grace_seconds: float = GRACE_SECONDS) -> int:
    """End all instances of a data directory whose node has ended: SIGTERM, and after the grace SIGKILL; how many."""
    records = Records(data_dir)
    instances = list(records.read())
    for instance in instances:
        processes.ask_to_end(instance)
    deadline = time.monotonic() + grace_seconds
    while any(processes.is_alive(instance) for instance in instances) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    for instance in instances:
        processes.end(instance)
        records.remove(instance)
    return len(instances)
