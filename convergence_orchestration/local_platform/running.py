"""Whether a platform runs in a data directory, for those who want to talk to it.

What belongs here: this question and its refusal.
"""

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.local_platform import processes, record
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.model import PlatformRecord
from convergence_orchestration.settings import Environment


def nothing_runs_in(directory: DataDirectory) -> str:
    """That nothing runs there, how to start it, and how to meet what runs beside it for another environment."""
    names = {DataDirectory.name_for(environment): environment for environment in Environment}
    own = names.pop(directory.path.name, Environment.DEVELOPMENT)
    option = "" if own is Environment.DEVELOPMENT else f" --environment {own}"
    others = {DataDirectory(directory.path.with_name(name)): names[name] for name in names}
    meant = "".join(
        f" If you mean the {environment} platform, add --data-dir {other.path} or set CONVERGENCE_DATA_DIR to it."
        for other, environment in others.items()
        if other.is_locked()
    )
    return f"Nothing runs in {directory.path}: start it with convergence up{option}.{meant}"


class NothingRuns(PermanentError):  # noqa: N818 its name is the fact
    """There is no platform in the data directory."""

    def __init__(self, directory: DataDirectory) -> None:
        super().__init__(ErrorCode.FAILED_PRECONDITION, nothing_runs_in(directory))


def running_platform(directory: DataDirectory) -> PlatformRecord:
    """The record of the platform that runs in `directory`, or is being started there.

    Raises:
        NothingRuns: none of its processes is alive.
    """
    platform = record.read(directory)
    if platform is None or not processes.members(platform):
        raise NothingRuns(directory)
    return platform
