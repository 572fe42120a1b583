"""Whose log files there are on this machine.

What belongs here: finding them. A process beside Cloud Run's is known by its file's name, a revision by its own name.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from google.cloud.run_v2 import Revision

from convergence_orchestration.local_gcp.cloud_run import names
from convergence_orchestration.local_gcp.logging.entries import Origin
from convergence_orchestration.local_gcp.logging.files import LogFile

_CLOUD_RUN: Final = "cloud_run_revision"
_CONTAINER: Final = "k8s_container"
_INSTANCE_LOGS: Final = "instance-logs"


def name_of(file: LogFile) -> str:
    """Who wrote it, as a person asks for it."""
    labels = file.origin.labels
    return labels.get("container_name") or labels["revision_name"]


@dataclass(frozen=True)
class Sources:
    """Where log files are looked for.

    Attributes:
        data_dir: the local cloud's own directory, with the files of Cloud Run's instances.
        directories: `NAME.log` in them is the log of the process NAME, `NAME.log.1` and so on what it was before.
        files: the logs of further processes, by their names.
    """

    data_dir: Path
    directories: tuple[Path, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)

    def found(self, revisions: Iterable[Revision]) -> Iterator[LogFile]:
        """The files that there are now; of Cloud Run's revisions those that the control plane knows say their service."""
        known = {names.short(revision.name): revision for revision in revisions}
        for path in (self.data_dir / _INSTANCE_LOGS).glob("*.log"):
            yield LogFile(path, _of_revision(path.stem, known.get(path.stem)))
        for directory in self.directories:
            for path in directory.glob("*.log"):
                yield from _generations(path.stem, path)
        for name, path in self.files.items():
            yield from _generations(name, path)


def _generations(process: str, newest: Path) -> Iterator[LogFile]:
    origin = Origin(_CONTAINER, {"container_name": process})
    if newest.exists():
        yield LogFile(newest, origin)
    for older in newest.parent.glob(f"{newest.name}.*"):
        if older.suffix[1:].isdecimal():
            yield LogFile(older, origin)


def _of_revision(short: str, revision: Revision | None) -> Origin:
    labels = {"revision_name": short}
    if revision is not None:
        parts = names.REVISION.fullmatch(revision.name)
        if parts is not None:
            labels |= {"service_name": parts["service"], "location": parts["location"]}
            labels["configuration_name"] = parts["service"]
    return Origin(_CLOUD_RUN, labels)
