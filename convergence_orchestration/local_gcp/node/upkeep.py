"""What keeps a data directory from growing for ever: bounds on the logs of instances, and old images that go.

What belongs here: which files go and when. Instances write to their logs themselves, so a log is emptied in place.
"""

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from google.cloud.run_v2 import Revision, Service

from convergence_orchestration.local_gcp import images
from convergence_orchestration.local_gcp.cloud_run import conditions, names
from convergence_orchestration.local_gcp.cloud_run.routing import named_revisions
from convergence_orchestration.local_gcp.node.programs import LOGS
from convergence_orchestration.local_gcp.node.records import Records
from convergence_orchestration.local_gcp.store import Rows, Store
from convergence_orchestration.logs import logger

MAX_LOG_BYTES = 10_000_000
KEPT_LOGS = 50
"""Logs of so many revisions are kept besides those that run."""
KEPT_IMAGES = 20
"""So many of the images built last are kept besides those that are in use."""
_log = logger(__name__)


class Upkeep:
    """The upkeep of one data directory; killed anywhere, the next round goes on."""

    def __init__(self, store: Store, data_dir: Path) -> None:
        self._store = store
        self._data_dir = data_dir
        self._records = Records(data_dir)

    def round(self) -> None:
        """Do once what is due."""
        running = {names.short(instance.revision) for instance in self._records.read()}
        bound_logs(self._data_dir / LOGS, running)
        for digest in prune_images(self._store, self._data_dir):
            _log.info("An old image was removed.", digest=digest)


def bound_logs(
    directory: Path, running: Collection[str], max_bytes: int = MAX_LOG_BYTES, kept: int = KEPT_LOGS
) -> None:
    """Empty logs that are too long, after what is in them was put into `.log.1`; remove those that nobody has written to for longest.

    A line that is written in between is lost; a process that writes in append mode goes on at the new end.

    Args:
        directory: of the logs, `REVISION.log`.
        running: revisions whose logs stay.
        max_bytes: of one log.
        kept: logs besides those of revisions that run.
    """
    logs = sorted(directory.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in logs:
        if path.stat().st_size > max_bytes:
            shutil.copyfile(path, path.with_name(f"{path.name}.1"))
            with path.open("r+b") as log:
                log.truncate(0)
    for path in [one for one in logs if one.stem not in running][kept:]:
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}.1").unlink(missing_ok=True)


def prune_images(store: Store, data_dir: Path, kept: int = KEPT_IMAGES) -> list[str]:
    """Remove images that nobody needs, but the `kept` that were built last; the digests of those that went.

    Never that of a revision which has traffic, a tag or may get them: one that is new or the newest of its service.
    """
    if len(images.newest_first(data_dir)) <= kept:
        return []
    with store.writing() as rows:  # so that no revision of one of them is made meanwhile
        used = set(_used(rows))
        doomed = [digest for digest in images.newest_first(data_dir)[kept:] if digest not in used]
        removed = [images.set_aside(data_dir, digest) for digest in doomed]
    for directory in removed:
        shutil.rmtree(directory, ignore_errors=True)
    return doomed


def _used(rows: Rows) -> Iterator[str]:
    services = {service.name: service for service in rows.of_kind(Service)}
    named = {name: named_revisions(service) for name, service in services.items()}
    for revision in rows.of_kind(Revision):
        service = services.get(names.service_of(revision.name))
        is_newest = service is not None and revision.name in {
            service.latest_created_revision,
            service.latest_ready_revision,
        }
        is_undecided = not conditions.is_ready(revision) and not conditions.has_failed(revision)
        if (
            is_newest
            or is_undecided
            or names.short(revision.name) in named.get(names.service_of(revision.name), ())
        ):
            yield revision.containers[0].image.rpartition("@")[2]
