"""What the local Cloud Run has running: processes that outlive those that the supervisor started.

What belongs here: reading the node's and the front door's own files, and the end of the instances. Who starts them is
`local_gcp/`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from convergence_orchestration.local_gcp.front_door.directory import Directory
from convergence_orchestration.local_gcp.node import processes
from convergence_orchestration.local_gcp.node.ending import stop_instances
from convergence_orchestration.local_gcp.node.records import Instance, Records
from convergence_orchestration.local_platform.directory import DataDirectory


@dataclass(frozen=True)
class RunningInstance:
    """A process of a revision, by the revision's short name, and where it listens on this machine."""

    revision: str
    pid: int
    port: int
    state: str


def instances(directory: DataDirectory) -> tuple[RunningInstance, ...]:
    """Those that live now, by revision."""
    if not directory.local_gcp.exists():
        return ()
    found = [
        RunningInstance(_short(one.revision), one.pid, one.port, _state(one))
        for one in Records(directory.local_gcp).read()
        if one.pid is not None and processes.is_alive(one)
    ]
    return tuple(sorted(found, key=lambda one: (one.revision, one.pid)))


def instance_logs(directory: DataDirectory) -> dict[str, Path]:
    """The log file of each revision that ever had an instance, by its short name; the one last written to comes last."""
    logs = (directory.local_gcp / "instance-logs").glob("*.log")
    return {path.stem: path for path in sorted(logs, key=lambda path: path.stat().st_mtime)}


def end_instances(directory: DataDirectory, grace: float) -> None:
    """End all of them, by SIGKILL what outlives `grace` seconds of SIGTERM; their node has ended already."""
    stop_instances(directory.local_gcp, grace)


def instance_sessions(directory: DataDirectory) -> frozenset[int]:
    """The sessions of the instances that live now: each has one of its own."""
    return frozenset(instance.pid for instance in instances(directory))


def envoy_sessions(directory: DataDirectory) -> frozenset[int]:
    """The session of the front door's Envoy, if one was started."""
    try:
        written = json.loads(Directory(directory.local_gcp).envoy_record.read_text(encoding="utf-8"))
        return frozenset({int(written["pid"])})
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def _short(revision: str) -> str:
    return revision.rpartition("/")[2]


def _state(instance: Instance) -> str:
    if instance.is_serving:
        return "serving"
    return "starting" if instance.is_starting else "ending"
