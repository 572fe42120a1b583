"""Where the fork server of a Dagster home keeps its files, and where its socket is."""

import hashlib
import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_LONGEST_SOCKET_PATH = 100
"""Bytes; the system allows 108 on Linux and 104 on macOS, with the closing zero."""
_LARGEST_LOG = 20_000_000
"""Bytes; about 4,000 runs of five ops."""


@dataclass(frozen=True)
class LaunchPaths:
    """The files of one Dagster home's fork server, all below `<home>/launcher`.

    Attributes:
        home: the Dagster home, resolved.
    """

    home: Path

    @property
    def directory(self) -> Path:
        """The directory of everything else."""
        return self.home / "launcher"

    @property
    def runs(self) -> Path:
        """Requests and workers' records, by run."""
        return self.directory / "runs"

    @property
    def lock(self) -> Path:
        """Locked by the server for as long as it lives."""
        return self.directory / "server.lock"

    @property
    def state(self) -> Path:
        """JSON: the server's process, its zygotes' processes and the socket's path."""
        return self.directory / "server.json"

    @property
    def log(self) -> Path:
        """The server's own log, JSON lines."""
        return self.directory / "server.log"

    @property
    def workers_log(self) -> Path:
        """What zygotes and workers print."""
        return self.directory / "workers.log"

    def make_directories(self) -> None:
        """Create what is missing, readable by this user alone; OSError where that cannot be."""
        self.runs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory.chmod(0o700)

    def new_socket(self) -> Path:
        """A path for the server's socket that is short enough: in the home, or else by a hash in the temporary directory.

        Raises:
            OSError: the directory cannot be made, or belongs to somebody else.
        """
        inside = self.directory / "server.sock"
        if len(os.fsencode(inside)) <= _LONGEST_SOCKET_PATH:
            return inside
        name = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:20]
        directory = Path(tempfile.gettempdir()) / f"convergence-{os.getuid()}"
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise PermissionError(f"Remove {directory}: it is not a directory of this user alone.")
        return directory / f"{name}.sock"

    def socket(self) -> Path | None:
        """The running (or last) server's socket, as the server wrote it down; None if there was none."""
        try:
            return Path(json.loads(self.state.read_text())["socket"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def open_log(path: Path) -> BinaryIO:
    """Open a log to add to it; one that grew large is put aside as `.log.1` before."""
    if path.exists() and path.stat().st_size > _LARGEST_LOG:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def launch_paths(home: str | os.PathLike[str]) -> LaunchPaths:
    """The paths of a Dagster home however it is spelled."""
    return LaunchPaths(Path(home).resolve())
