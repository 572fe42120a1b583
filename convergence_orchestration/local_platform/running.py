"""Whether a platform runs in a data directory, for those who want to talk to it.

What belongs here: this question and its refusal.
"""

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.local_platform import processes, record
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.model import PlatformRecord


class NothingRuns(PermanentError):  # noqa: N818 its name is the fact
    """There is no platform in the data directory."""

    def __init__(self, directory: DataDirectory) -> None:
        super().__init__(
            ErrorCode.FAILED_PRECONDITION,
            f"Nothing runs in {directory.path}: start it with convergence up.",
        )


def running_platform(directory: DataDirectory) -> PlatformRecord:
    """The record of the platform that runs in `directory`, or is being started there.

    Raises:
        NothingRuns: none of its processes is alive.
    """
    platform = record.read(directory)
    if platform is None or not processes.members(platform):
        raise NothingRuns(directory)
    return platform
