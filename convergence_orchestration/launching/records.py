"""The files that survive every process: what was asked for, who executes it, and what came of it.

`<run>.request` is written by the launcher before it asks anybody and removed when the run's end is known: the durable queue.
`<run>.worker` is made by the worker before anything else, by a hard link that only one process can make: whoever has it
executes the run, so a run accepted twice, or forked twice around a crash, still executes once.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, unquote

from convergence_orchestration.launching.model import LaunchRequest, ProcessIdentity, WorkerRecord

_REQUEST, _WORKER = ".request", ".worker"


class RunRecords:
    """The records below one directory; every method may raise OSError when the directory is gone or full."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def accept(self, request: LaunchRequest) -> None:
        """Remember a request; from here on it is not lost, whichever process is killed."""
        self._replace(self._path(request.run_id, _REQUEST), request.to_json())

    def request(self, run_id: str) -> LaunchRequest | None:
        """The request of a run that has not ended."""
        return _read(self._path(run_id, _REQUEST), LaunchRequest.from_json)

    def open_requests(self) -> list[LaunchRequest]:
        """Every request whose end is not known, the oldest first."""
        run_ids = [unquote(path.name.removesuffix(_REQUEST)) for path in self.directory.glob(f"*{_REQUEST}")]
        found = [request for run_id in run_ids if (request := self.request(run_id))]
        return sorted(found, key=lambda request: request.accepted_at)

    def has_open_requests(self) -> bool:
        """Whether there is any request whose end is not known."""
        return next(self.directory.glob(f"*{_REQUEST}"), None) is not None

    def claim(self, run_id: str, process: ProcessIdentity) -> bool:
        """Make `process` the one that executes the run; False if somebody already is, or was."""
        draft = self._draft(self._path(run_id, _WORKER), WorkerRecord(process).to_json())
        try:
            self._path(run_id, _WORKER).hardlink_to(draft)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def worker(self, run_id: str) -> WorkerRecord | None:
        """The worker of a run, if one ever claimed it."""
        return _read(self._path(run_id, _WORKER), WorkerRecord.from_json)

    def workers(self) -> list[WorkerRecord]:
        """Every worker on record."""
        paths = list(self.directory.glob(f"*{_WORKER}"))
        return [record for path in paths if (record := _read(path, WorkerRecord.from_json))]

    def finish(self, run_id: str) -> None:
        """Said by the worker: the run is in a final state."""
        self._amend(run_id, is_finished=True)

    def note_ending(self, run_id: str, ending: str) -> None:
        """Said by whoever saw the worker end: how, in words."""
        self._amend(run_id, ending=ending)

    def close(self, run_id: str) -> None:
        """The run's end is known: its request leaves the queue; the claim stays a while against late duplicates."""
        self._path(run_id, _REQUEST).unlink(missing_ok=True)

    def prune(self, older_than_seconds: float, now: Callable[[], float] = time.time) -> None:
        """Remove the workers' records without a request, and drafts of the dead, that nobody touched for so long."""
        for draft in list(self.directory.glob(".*")):
            if now() - draft.stat().st_mtime > older_than_seconds:
                draft.unlink(missing_ok=True)
        for path in list(self.directory.glob(f"*{_WORKER}")):
            is_open = path.with_name(path.name.removesuffix(_WORKER) + _REQUEST).exists()
            if not is_open and now() - path.stat().st_mtime > older_than_seconds:
                path.unlink(missing_ok=True)

    def _amend(self, run_id: str, **changes: str | bool) -> None:
        record = self.worker(run_id)
        if record is not None:
            self._replace(self._path(run_id, _WORKER), replace(record, **changes).to_json())  # type: ignore[arg-type]

    def _path(self, run_id: str, kind: str) -> Path:
        return self.directory / f"{quote(run_id, safe='')}{kind}"

    def _replace(self, path: Path, text: str) -> None:
        self._draft(path, text).replace(path)

    def _draft(self, path: Path, text: str) -> Path:
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(text)
        return draft


def _read[Record](path: Path, parse: Callable[[str], Record]) -> Record | None:
    """The record in a file; None without one, and for one that a power cut left half written."""
    try:
        return parse(path.read_text())
    except (FileNotFoundError, NotADirectoryError, KeyError, TypeError, ValueError):
        return None
