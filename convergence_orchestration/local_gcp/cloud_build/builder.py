"""Carrying builds out, one after the other.

What belongs here: taking the next build from the store, making its image and writing down how it ended. A builder may die at
any moment: the build is then begun again, and images appear whole (renamed into place) or not at all.
"""

import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from google.cloud.devtools.cloudbuild_v1 import Build

from convergence_orchestration.local_gcp import images
from convergence_orchestration.local_gcp.cloud_build import queue
from convergence_orchestration.local_gcp.cloud_build.queue import Status
from convergence_orchestration.local_gcp.cloud_build.source import BrokenSourceError, command_of, fetch
from convergence_orchestration.local_gcp.cloud_build.wheel import (
    BuildFailedError,
    BuildTimeoutError,
    build_wheel,
    digest_of,
)
from convergence_orchestration.local_gcp.images import Manifest
from convergence_orchestration.local_gcp.store import Store
from convergence_orchestration.logs import logger

_LAST_LINES = 20
_REVISION_OF_SOURCE = ("COMMIT_SHA", "REVISION_ID", "_SOURCE_REVISION")
_log = logger(__name__)


class Builder:
    """Builds what the store says shall be built."""

    def __init__(self, store: Store, data_dir: Path, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._data_dir = data_dir
        self._clock = clock
        for unfinished in (data_dir / "images").glob(f"{images.UNFINISHED}*"):
            shutil.rmtree(unfinished, ignore_errors=True)  # of a builder that died

    def build_next(self) -> bool:
        """Carry out one build; False if none waits."""
        with self._store.reading() as rows:
            build = queue.next_build(rows)
        if build is None:
            return False
        with self._store.writing() as rows:
            queue.start(rows, build.name, self._clock())
        log = log_file(self._data_dir, build.id)
        log.parent.mkdir(exist_ok=True)
        log.write_bytes(b"")
        try:
            digest = self._image(build, log)
        except (BrokenSourceError, BuildFailedError) as error:
            self._fail(build, Status.FAILURE, log, str(error))
        except BuildTimeoutError:
            self._fail(build, Status.TIMEOUT, log, "The build took longer than its timeout.")
        except OSError as error:
            self._fail(build, Status.INTERNAL_ERROR, log, f"The local cloud could not build: {error}")
        else:
            self._succeed(build, log, digest)
        return True

    def _image(self, build: Build, log: Path) -> str:
        parent = self._data_dir / "images" / "sha256"
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=images.UNFINISHED, dir=parent.parent) as directory:
            tree, image = Path(directory) / "source", Path(directory) / "image"
            fetch(build, self._data_dir, tree)
            command = command_of(build, tree)
            image.mkdir()
            build_wheel(tree, image / "root", log, build.timeout.total_seconds())
            digest = digest_of(image / "root", command)
            created = self._clock().isoformat()
            images.write_manifest(image, Manifest(digest, command, created, _revision_of_source(build)))
            if images.read_manifest(self._data_dir, digest) is None:
                final = images.directory_of(self._data_dir, digest)
                shutil.rmtree(final, ignore_errors=True)
                image.rename(final)
            images.built_again(self._data_dir, digest)
        return digest

    def _succeed(self, build: Build, log: Path, digest: str) -> None:
        _append(log, f"DONE: {digest}")
        now = self._clock()
        with self._store.writing() as rows:
            current = rows.get(Build, build.name)
            if current is not None and current.status not in queue.FINISHED:
                made = [images.tag(rows, reference, digest) for reference in build.images]
                queue.succeed(rows, build.name, made, now)
        _log.info("An image is built.", build=build.id, digest=digest)

    def _fail(self, build: Build, status: Any, log: Path, problem: str) -> None:  # noqa: ANN401 an enum
        _append(log, f"ERROR: {problem}")
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        with self._store.writing() as rows:
            queue.fail(rows, build.name, status, "\n".join(lines[-_LAST_LINES:]), self._clock())
        _log.warning("A build failed; its log says why.", build=build.id, log=str(log))


def log_file(data_dir: Path, build_id: str) -> Path:
    """Where the output of a build is kept."""
    return data_dir / "build-logs" / f"{build_id}.log"


def _revision_of_source(build: Build) -> str:
    return next((build.substitutions[key] for key in _REVISION_OF_SOURCE if key in build.substitutions), "")


def _append(log: Path, line: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
