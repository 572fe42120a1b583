"""What still lives of a platform whose supervisor is gone, and its end.

What belongs here: the order. The platform's own processes go first, for the web server and the daemon would start the
launcher's fork server again; the run launcher's are stopped by who knows them.
"""

from convergence_orchestration.launching import stopping
from convergence_orchestration.local_platform import processes
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.model import PlatformRecord

_LOOKS = 2  # the node, or the front door, may just have started another process when it was told to end


def end(directory: DataDirectory, platform: PlatformRecord, grace: float) -> int:
    """End whatever is left, by SIGKILL what outlives `grace` seconds of SIGTERM; how many processes there were."""
    ended = 0
    for _ in range(_LOOKS):
        ended += processes.end(processes.members(platform), grace)
    of_runs = stopping.stop(directory.dagster_home, grace)
    return ended + of_runs.ended + of_runs.killed
