"""The instances of this node: their processes, their records and what became of them.

What belongs here: starting, watching and ending instances, each step written down so that it survives the node. How many there
shall be and where requests go is decided elsewhere.
"""

import subprocess
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from google.cloud.run_v2 import Probe, Revision

from convergence_orchestration.local_gcp.node import plan, probes, processes
from convergence_orchestration.local_gcp.node.processes import Program
from convergence_orchestration.local_gcp.node.records import Instance, Records
from convergence_orchestration.logs import logger

_PROBES_AT_ONCE = 8
_log = logger(__name__)

type MakeProgram = Callable[[str, int], Program]


@dataclass(frozen=True)
class Failure:
    """An instance that ended by itself, or never came up in the time it had (`is_too_late`)."""

    revision: str
    problem: str
    is_too_late: bool = False


class Crew:
    """All instances of one data directory; those that an earlier node started are taken over."""

    def __init__(self, data_dir: Path) -> None:
        self._records = Records(data_dir)
        self._instances: dict[str, Instance] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._threads = ThreadPoolExecutor(_PROBES_AT_ONCE, thread_name_prefix="probe")
        self._probes: dict[str, Future[bool]] = {}
        for instance in self._records.read():
            self._adopt(instance)

    @property
    def instances(self) -> list[Instance]:
        """All that have not ended."""
        return list(self._instances.values())

    def of(self, revision: str) -> list[Instance]:
        """The instances of one revision, by its full name."""
        return [instance for instance in self._instances.values() if instance.revision == revision]

    def start(self, revision: Revision, make_program: MakeProgram, now: float) -> None:
        """Start one instance of the revision.

        Raises:
            OSError: its command cannot be run.
        """
        identifier = uuid.uuid4().hex[:12]
        port = processes.free_port({instance.port for instance in self._instances.values()})
        program = make_program(identifier, port)
        probe = revision.containers[0].startup_probe
        instance = Instance(
            id=identifier,
            revision=revision.name,
            port=port,
            created_at=now,
            deadline=now + probes.seconds_to_start(probe),
            timeout_seconds=revision.timeout.total_seconds(),
        )
        self._records.write(
            instance
        )  # first, so that a process whose pid was never written down can be found
        try:
            child = processes.start(program)
        except OSError:
            self._records.remove(instance)
            raise
        self._children[identifier] = child
        self._keep(replace(instance, pid=child.pid, started_at=processes.started_at(child.pid)))

    def failures(self, now: float) -> list[Failure]:
        """The instances that failed since the last time; none of those that ended because they were told to."""
        failed = []
        for instance in self.instances:
            ending = self._ending(instance)
            if ending is not None:
                self._forget(instance)
                if instance.draining_at is None:
                    failed.append(Failure(instance.revision, ending))
            elif plan.is_too_late(instance, now):
                self._keep(replace(instance, draining_at=now, left_out_version=0))
                failed.append(Failure(instance.revision, "It did not answer in time.", is_too_late=True))
        return failed

    def look_for_ready(self, probe_of: Callable[[str], Probe | None], now: float) -> None:
        """Ask those that start whether they are ready, without waiting for the answers."""
        for instance in self.instances:
            if not instance.is_starting:
                continue
            asked = self._probes.get(instance.id)
            if asked is None or asked.done():
                if asked is not None and asked.result():
                    self._keep(replace(instance, ready_at=now))
                    continue
                probe = probe_of(instance.revision)
                if probe is not None:
                    self._probes[instance.id] = self._threads.submit(probes.succeeds, instance.port, probe)

    def drain(self, instances: Iterable[Instance], now: float) -> None:
        """Take instances out of service; they end when no request can reach them."""
        for instance in instances:
            self._keep(replace(instance, draining_at=now))

    def leave_out(self, version: int, ports_before: Iterable[int]) -> None:
        """Routes of this version are written: those that drain are not in them."""
        routed = set(ports_before)
        for instance in self.instances:
            if instance.draining_at is not None and instance.left_out_version is None:
                self._keep(plan.left_out(instance, version, was_routed=instance.port in routed))

    def end_drained(self, served_version: int, in_flight: Callable[[str], float | None], now: float) -> None:
        """SIGTERM for those that no request can reach, SIGKILL for those that had their time after that."""
        for instance in self.instances:
            if plan.may_be_asked_to_end(instance, served_version, in_flight(instance.revision), now):
                processes.ask_to_end(instance)
                self._keep(replace(instance, terminated_at=now))
            elif plan.must_be_ended(instance, now):
                processes.end(instance)

    def close(self) -> None:
        """Stop watching; the instances go on, and those that have ended leave nothing behind."""
        for child in self._children.values():
            child.poll()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _adopt(self, instance: Instance) -> None:
        pid = instance.pid or processes.find(instance.id)
        found = replace(
            instance, pid=pid, started_at=instance.started_at or (processes.started_at(pid) if pid else None)
        )
        if not processes.is_alive(found):
            self._records.remove(instance)
            return
        self._keep(found)
        _log.info("An instance is taken over.", revision=found.revision, pid=pid, port=found.port)

    def _ending(self, instance: Instance) -> str | None:
        """How the instance ended; None if it still runs."""
        child = self._children.get(instance.id)
        if child is None:
            return None if processes.is_alive(instance) else "It ended."
        status = child.poll()
        if status is None:
            return None
        processes.end_rest(instance)
        return f"It ended with status {status}." if status >= 0 else f"It was ended by signal {-status}."

    def _keep(self, instance: Instance) -> None:
        self._records.write(instance)
        self._instances[instance.id] = instance

    def _forget(self, instance: Instance) -> None:
        self._records.remove(instance)
        self._instances.pop(instance.id, None)
        self._children.pop(instance.id, None)
        self._probes.pop(instance.id, None)
