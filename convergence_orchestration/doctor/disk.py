"""Whether there is room for what the platform writes.

What belongs here: looking at a directory's file system, and the judgement.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from convergence_orchestration.doctor.model import Area, Finding, State

LEAST_FREE_BYTES: Final = 1_000_000_000
LEAST_FREE_SHARE: Final = 0.02
_GB: Final = 1e9


@dataclass(frozen=True)
class Room:
    """A file system, in bytes."""

    total: int
    free: int


def room_of(path: Path) -> Room:
    """The file system that `path`, or the nearest directory above it that is there, lies on."""
    there = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    usage = shutil.disk_usage(there)
    return Room(usage.total, usage.free)


def disk(path: Path, room: Room) -> Finding:
    """Whether it suffices: BigQuery's files, Dagster's storage and logs grow."""
    words = f"{room.free / _GB:.1f} GB of {room.total / _GB:.1f} GB are free"
    if room.free >= max(LEAST_FREE_BYTES, room.total * LEAST_FREE_SHARE):
        return Finding(Area.DISK, str(path), State.OK, words)
    return Finding(
        Area.DISK,
        str(path),
        State.PROBLEM,
        f"{words}: databases there fail when it is full",
        f"du -sh '{path}'/* | sort -h; rm -f '{path}'/logs/*.log.[0-9]",
    )
