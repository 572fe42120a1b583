"""Is the worker of a started run still there? Decided from its record and the table of processes."""

from collections.abc import Callable
from dataclasses import dataclass

from convergence_orchestration.launching.model import LaunchRequest, ProcessIdentity, WorkerRecord


@dataclass(frozen=True)
class WorkerHealth:
    """What run monitoring is told: whether the run has, or will have, a living worker, and a sentence."""

    is_running: bool
    message: str


def judge(
    request: LaunchRequest | None, record: WorkerRecord | None, is_alive: Callable[[ProcessIdentity], bool]
) -> WorkerHealth:
    """The health of a run that is not finished.

    A worker that ended is reported as gone even if it saw its run finished: Dagster reads the run once more before it
    believes us, and only a run that is still unfinished then is marked as failed.
    """
    if record is None and request is not None:
        return WorkerHealth(is_running=True, message="The run waits for a worker.")
    if record is None:
        return WorkerHealth(is_running=False, message="No worker is on record for the run.")
    if is_alive(record.process):
        return WorkerHealth(is_running=True, message=f"Worker process {record.process.pid} runs.")
    ending = record.ending or "ended, nobody saw how"
    return WorkerHealth(is_running=False, message=f"Worker process {record.process.pid} {ending}.")
