"""What the node knows of each instance, in a file of its own, so that the next node knows it too.

What belongs here: the record and its file (`DATA_DIR/instances/ID.json`), written whole or not at all. Never an environment
variable: they hold secrets.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from convergence_orchestration.logs import logger

_log = logger(__name__)


@dataclass(frozen=True)
class Instance:
    """One process of a revision. Times are seconds since 1970; None: not yet.

    Attributes:
        id: also in the process's environment, to find one whose start was not written down.
        revision: full name.
        pid: of the process, which leads its own session.
        started_at: the process's start as the kernel tells it: a pid alone may be another's by now.
        created_at: when the node began to start it.
        deadline: when its start-up probe has failed for good.
        timeout_seconds: of one request.
        ready_at: when the start-up probe succeeded.
        draining_at: when it was decided that it shall end.
        left_out_version: the first version of the routes without it; 0 if it was never in them.
        terminated_at: when SIGTERM was sent.
    """

    id: str
    revision: str
    port: int
    created_at: float
    deadline: float
    timeout_seconds: float
    pid: int | None = None
    started_at: float | None = None
    ready_at: float | None = None
    draining_at: float | None = None
    left_out_version: int | None = None
    terminated_at: float | None = None

    @property
    def is_starting(self) -> bool:
        """Its start-up probe has not succeeded yet, and may."""
        return self.ready_at is None and self.draining_at is None

    @property
    def is_serving(self) -> bool:
        """Requests may go to it."""
        return self.ready_at is not None and self.draining_at is None


class Records:
    """The files of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir / "instances"
        self._directory.mkdir(parents=True, exist_ok=True)

    def read(self) -> Iterator[Instance]:
        """All instances that are written down; a file that is none is left out and removed."""
        for path in sorted(self._directory.glob("*.json")):
            try:
                yield Instance(**json.loads(path.read_text(encoding="utf-8")))
            except FileNotFoundError:
                continue  # it has ended meanwhile
            except (ValueError, TypeError):
                _log.warning("A record of an instance is not one; it is removed.", path=str(path))
                path.unlink()

    def write(self, instance: Instance) -> None:
        """Put this in place of what was known of the instance."""
        path = self._directory / f"{instance.id}.json"
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(asdict(instance)), encoding="utf-8")
        unfinished.replace(path)

    def remove(self, instance: Instance) -> None:
        """Forget an instance that has ended."""
        (self._directory / f"{instance.id}.json").unlink(missing_ok=True)
