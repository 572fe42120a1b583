"""The log files of the services: begun anew at each start, the last ones kept, their ends shown and followed.

What belongs here: files of text lines. What is in them is each service's own business.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

KEPT = 3
"""Logs of so many earlier starts are kept, as .log.1 (the newest) and so on."""

_BLOCK_BYTES = 64 * 1024


def rotate(path: Path) -> None:
    """Move `path` to .1, .1 to .2 and so on; the oldest goes."""
    if not path.exists():
        return
    for number in range(KEPT, 1, -1):
        older, newer = _numbered(path, number), _numbered(path, number - 1)
        if newer.exists():
            newer.replace(older)
    path.replace(_numbered(path, 1))


def open_for_appending(path: Path) -> IO[bytes]:
    """The file, for a child process to write to; readable by nobody else."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")


def tail(path: Path, lines: int) -> list[str]:
    """The last `lines` lines; none if there is no such file."""
    if lines <= 0 or not path.exists():
        return []
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        end = b""
        while position > 0 and end.count(b"\n") <= lines:
            step = min(_BLOCK_BYTES, position)
            position = file.seek(position - step)
            end = file.read(step) + end
    return end.decode("utf-8", "replace").splitlines()[-lines:]


class Follower:
    """What is appended to a file from now on, also when it is begun anew by another start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode, self._position = self._stand()
        self._rest = b""

    def new_lines(self) -> Iterator[str]:
        """The whole lines that were appended since the last call."""
        inode, size = self._stand()
        if inode != self._inode or size < self._position:
            self._inode, self._position, self._rest = inode, 0, b""
        if size <= self._position:
            return
        with self._path.open("rb") as file:
            file.seek(self._position)
            fresh = file.read()
        self._position += len(fresh)
        *whole, self._rest = (self._rest + fresh).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in whole)

    def _stand(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_ino, found.st_size


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
