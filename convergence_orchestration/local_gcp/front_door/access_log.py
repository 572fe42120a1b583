"""The access log: what a line means, and its files.

What belongs here: parsing, the numbering of files and rotation. `access.log` is the newest; when it is long it becomes
`access.log.N`, N growing for ever, so that a place in the log is a number and an offset.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from convergence_orchestration.local_gcp.front_door.measurements import Request, Source

# Envoy's flags of requests that no instance saw: no healthy one, no connection to it, limits, no route.
_UNSEEN = frozenset({"UH", "UF", "UO", "NR", "NC"})
_CLIENT_CLOSED = 499


def request_of(line: bytes) -> Request | None:
    """What a line says of a request that reached an instance; None for any other and for half lines."""
    try:
        entry = json.loads(line)
        return _request(entry)
    except (ValueError, KeyError, TypeError):
        return None


class AccessLogFiles:
    """The files of one access log, and how many of them are kept besides the newest."""

    def __init__(self, newest: Path, kept: int) -> None:
        self.newest = newest
        self._kept = kept

    def path_of(self, generation: int) -> Path:
        """The file of that number: a former one if it is there, else the newest."""
        former = self._former(generation)
        return former if former.exists() else self.newest

    def is_former(self, generation: int) -> bool:
        """Whether that file is written no more, once there is a newest file beside it."""
        return self._former(generation).exists()

    def first_generation(self) -> int:
        """The lowest number that there is; 1 if there is no former file."""
        return min(self._generations(), default=1)

    def retire(self, generation: int) -> None:
        """Give the newest file its number and remove the oldest; Envoy has to reopen the log afterwards."""
        self.newest.rename(self._former(generation))
        for old in sorted(self._generations())[: -self._kept]:
            self._former(old).unlink(missing_ok=True)

    def _former(self, generation: int) -> Path:
        return self.newest.with_name(f"{self.newest.name}.{generation}")

    def _generations(self) -> list[int]:
        names = (path.name.rpartition(".")[2] for path in self.newest.parent.glob(f"{self.newest.name}.*"))
        return [int(name) for name in names if name.isdecimal()]


def _request(entry: dict[str, Any]) -> Request | None:
    flags = set(entry["flags"].split(","))
    if entry["upstream"] is None or entry["revision"] is None or flags & _UNSEEN:
        return None
    milliseconds = _milliseconds(entry)
    started = datetime.fromisoformat(entry["time"]).timestamp()
    place = (entry["project"], entry["location"], entry["service"], entry["revision"])
    source = Source(*place, code=entry["status"] or _CLIENT_CLOSED)
    return Request(source, started + milliseconds / 1000, milliseconds)


def _milliseconds(entry: dict[str, Any]) -> float:
    if isinstance(entry.get("duration_us"), int):
        return float(entry["duration_us"] / 1000)
    return float(entry["duration_ms"])
