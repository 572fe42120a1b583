"""What travels between the launcher, the server and its children; plain values, no I/O."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Self

_OF_THE_TERMINAL = frozenset({"_", "SHLVL", "PWD", "OLDPWD", "COLUMNS", "LINES", "TERM", "WINDOWID"})


@dataclass(frozen=True)
class CodeLocation:
    """Where the code of a run is: all that decides which processes may share one import of it.

    Attributes:
        name: the code location's name in the workspace.
        executable: the Python that has it installed.
        origin: Dagster's RepositoryPythonOrigin, serialised.
        working_directory: where the launching process stands; relative paths and `.env` are looked up there.
    """

    name: str
    executable: str
    origin: str
    working_directory: str


@dataclass(frozen=True)
class LaunchRequest:
    """One run to execute.

    Attributes:
        accepted_at: nanoseconds since the epoch; the queue's order.
        instance_ref: Dagster's InstanceRef, serialised: from it the worker makes an instance of its own.
    """

    run_id: str
    job_name: str
    location: CodeLocation
    instance_ref: str
    accepted_at: int

    def to_json(self) -> str:
        """The request as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The request that `to_json` wrote; ValueError, KeyError or TypeError if it is not one."""
        fields = json.loads(text)
        return cls(**fields | {"location": CodeLocation(**fields["location"])})


@dataclass(frozen=True)
class ProcessIdentity:
    """A process for good: its pid and when it started, so that a pid given to another process is not taken for it."""

    pid: int
    started: str


NO_WORKER = ProcessIdentity(0, "")
"""Claims a run that no worker of ours may execute: it was given to the default launcher."""


@dataclass(frozen=True)
class WorkerRecord:
    """What is known on disk of the worker of a run.

    Attributes:
        is_finished: the worker saw its run in a final state and was about to end.
        ending: how the process ended, in words, once somebody saw it end.
    """

    process: ProcessIdentity
    is_finished: bool = False
    ending: str = ""

    def to_json(self) -> str:
        """The record as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The record that `to_json` wrote; ValueError, KeyError or TypeError if it is not one."""
        fields = json.loads(text)
        return cls(**fields | {"process": ProcessIdentity(**fields["process"])})


@dataclass(frozen=True)
class Limits:
    """What bounds the server; the launcher sends it along, so a changed dagster.yaml counts at the next launch.

    Attributes:
        workers: how many runs execute at once.
        idle_seconds: with nothing to do for as long, the server ends.
    """

    workers: int = 4
    idle_seconds: float = 1800


def environment_key(environment: Mapping[str, str]) -> str:
    """The same text for environments that differ only in what a terminal sets."""
    items = sorted((name, value) for name, value in environment.items() if name not in _OF_THE_TERMINAL)
    return sha256(json.dumps(items).encode()).hexdigest()


def zygote_key(location: CodeLocation, environment: str) -> str:
    """The same text for runs that may be forked from one process; `environment` is an `environment_key`."""
    return sha256(json.dumps([asdict(location), environment]).encode()).hexdigest()


def limits_from(fields: Mapping[str, Any]) -> Limits:
    """Limits as they came over the socket."""
    return Limits(workers=int(fields["workers"]), idle_seconds=float(fields["idle_seconds"]))
