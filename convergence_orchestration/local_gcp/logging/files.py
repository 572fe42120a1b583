"""The log files of a machine: which there are, and their lines from the newest back.

What belongs here: reading. A file may be begun anew, moved or removed at any time: what was read stays right, and what is
gone is left out.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from convergence_orchestration.local_gcp.logging.entries import Entry, Origin, entry_of

_BLOCK_BYTES = 64 * 1024
_DISORDER = timedelta(seconds=60)
"""Lines of several threads are not quite in order of time."""
_NO_TIME = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class LogFile:
    """One file of entries, who wrote it."""

    path: Path
    origin: Origin


def entries_back(file: LogFile, since: datetime | None) -> Iterator[Entry]:
    """The entries of a file, the newest first, down to about `since`; none if it is gone.

    Lines without a time have that of the next line above that has one; at the head of a file, its own.
    """
    try:
        with file.path.open("rb") as stream:
            stat = os.fstat(stream.fileno())
            changed = datetime.fromtimestamp(stat.st_mtime, UTC)
            if since is not None and changed < since:
                return
            yield from _timed(_raw_back(stream, file.origin, stat.st_ino), changed, since)
    except FileNotFoundError:
        return


def _timed(raw: Iterator[Entry], changed: datetime, since: datetime | None) -> Iterator[Entry]:
    """The entries with the times they are to have; those without one wait for the line above them."""
    waiting: list[Entry] = []
    for entry in raw:
        if entry.timestamp == _NO_TIME:
            waiting.append(entry)
            continue
        yield from (replace(one, timestamp=entry.timestamp) for one in waiting)
        waiting.clear()
        if since is not None and entry.timestamp < since - _DISORDER:
            return
        yield entry
    yield from (replace(one, timestamp=changed) for one in waiting)


def _raw_back(stream: BinaryIO, origin: Origin, inode: int) -> Iterator[Entry]:
    for place, line in _lines_back(stream):
        if line.strip():
            yield entry_of(line, origin, f"{inode:012x}{place:016x}", _NO_TIME)


def _lines_back(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The whole lines and where they begin, the last first; one that is just being written is left for the next look."""
    position = stream.seek(0, os.SEEK_END)
    rest, is_end = b"", True
    while position > 0:
        step = min(_BLOCK_BYTES, position)
        position = stream.seek(position - step)
        pieces = (stream.read(step) + rest).split(b"\n")
        begins = list(accumulate((len(piece) + 1 for piece in pieces), initial=position))
        if is_end and len(pieces) > 1:
            pieces.pop()
            is_end = False
        yield from reversed(list(zip(begins[1:], pieces[1:], strict=False)))
        rest = pieces[0]
    if not is_end:
        yield 0, rest
