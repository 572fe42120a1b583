"""The supervisor: starts the services in order, restarts those that die, and stops them all.

What belongs here: decisions about a platform's processes while it lives, and their record. One asyncio task keeps one
service; the record is written at each change, so that others can tell what is and find what is left.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Collection, Coroutine
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import httpx

from convergence_orchestration.errors import TransientError
from convergence_orchestration.launching import stopping
from convergence_orchestration.launching.client import resume
from convergence_orchestration.launching.paths import launch_paths
from convergence_orchestration.local_platform import log_files, processes, record
from convergence_orchestration.local_platform.child import Child, described
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.environment import without_admin_key
from convergence_orchestration.local_platform.model import (
    PlatformRecord,
    PlatformState,
    ServiceName,
    ServiceRecord,
    ServiceState,
)
from convergence_orchestration.local_platform.probes import NotReady, Probe
from convergence_orchestration.local_platform.services import Service, Stops
from convergence_orchestration.logs import logger

_log = logger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long the supervisor waits for what, in seconds unless said otherwise.

    Attributes:
        readiness: a service that starts for the first time must be healthy within this.
        between_probes: pause between two questions.
        first_pause: before the first restart; doubled for each further one, up to `longest_pause`.
        steady: the deaths of one that has lived so long are counted anew.
        starts: a service that never was healthy may die one time less than this.
        grace: between SIGTERM and SIGKILL.
        between_resumptions: pause between two looks at runs that wait for the launcher's fork server.
    """

    readiness: float = 180
    between_probes: float = 0.1
    first_pause: float = 0.5
    longest_pause: float = 5
    steady: float = 60
    starts: int = 2
    grace: float = 10
    between_resumptions: float = 5

    def pause(self, deaths: int) -> float:
        """Seconds before the restart that follows so many deaths in a row."""
        return min(self.first_pause * 2.0 ** (deaths - 1), self.longest_pause)


class StartFailed(Exception):  # noqa: N818 ends the start, is told in the record
    """A service could not be started; the text says why."""


class Supervisor:
    """Keeps the services of one platform. `run` returns when all of them have ended."""

    def __init__(
        self,
        services: tuple[Service, ...],
        directory: DataDirectory,
        platform: PlatformRecord,
        patience: Patience | None = None,
    ) -> None:
        self._services = services
        self._directory = directory
        self._patience = patience or Patience()
        self._children: dict[ServiceName, Child] = {}
        self._healthy = {service.name: asyncio.Event() for service in services}
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._record = replace(platform, services={service.name: ServiceRecord() for service in services})

    @property
    def platform(self) -> PlatformRecord:
        """The record as it was last written."""
        return self._record

    def stop(self) -> None:
        """Ask for the end; asked twice, nothing is waited for any more. May be called from a signal handler of the loop."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def run(self) -> PlatformState:
        """Start everything, keep it alive until `stop`, stop everything: STOPPED, or FAILED if the start failed."""
        self._write(state=PlatformState.STARTING)
        # no proxy of the environment knows the way to a loopback port
        async with httpx.AsyncClient(trust_env=False) as client:
            keepers = [asyncio.create_task(self._keep(service, client)) for service in self._services]
            announcing = asyncio.create_task(self._announce())
            resuming = asyncio.create_task(self._resume_runs())
            stopping = asyncio.create_task(self._stop.wait())
            keeping = asyncio.gather(*keepers)
            first: list[asyncio.Future[Any]] = [keeping, stopping]
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            failure = _failure(keeping)
            if not failure:
                await stopping
            await _cancelled(keeping, *keepers, announcing, resuming, stopping)
        await self._stop_all(failure)
        return self._record.state

    async def _announce(self) -> None:
        """Tell when the whole platform is up."""
        for event in self._healthy.values():
            await event.wait()
        self._write(state=PlatformState.RUNNING)
        _log.info("The platform is up.")

    async def _resume_runs(self) -> None:
        """Look whether runs wait for a fork server that is gone with all who would have started another."""
        paths = launch_paths(self._directory.dagster_home)
        while True:
            await asyncio.sleep(self._patience.between_resumptions)
            try:
                await asyncio.to_thread(resume, paths, without_admin_key(os.environ))
            except (TransientError, OSError) as error:
                _log.warning("Runs wait, but the fork server does not start.", reason=str(error))

    async def _keep(self, service: Service, client: httpx.AsyncClient) -> None:
        """Start a service when its turn has come and keep it alive for ever; a step, until it is done."""
        await self._await(service.needs)
        log_files.rotate(self._directory.log_of(service.name))
        died = 0
        while True:
            child = self._start(service)
            reason = await self._healthy_or_reason(service, child, client)
            if not reason and service.is_step:
                return
            if not reason:
                reason = described(await child.ended())
            died = 1 if time.time() - child.started > self._patience.steady else died + 1
            if not self._healthy[service.name].is_set() and died >= self._patience.starts:
                self._fail(service, reason)
            await self._pause_before_restart(service, reason, died)

    async def _healthy_or_reason(self, service: Service, child: Child, client: httpx.AsyncClient) -> str:
        """Wait until the service is healthy, or a step has ended well: empty, or else why it is not."""
        if service.is_step and (code := await child.ended()):
            return described(code)
        if service.probe is not None:
            reason = await self._probed(service, service.probe, child, client)
            if reason:
                return reason
        state = ServiceState.DONE if service.probe is None and service.is_step else ServiceState.HEALTHY
        seconds = round(time.time() - child.started, 2)
        _log.info("Service is ready.", service=service.name, seconds=seconds)
        self._change(service, state=state, seconds=seconds, detail="")
        self._healthy[service.name].set()
        return ""

    async def _probed(self, service: Service, probe: Probe, child: Child, client: httpx.AsyncClient) -> str:
        is_first = not self._healthy[service.name].is_set()
        await self._await(service.asked_after)
        deadline = (time.time() if service.is_step else child.started) + self._patience.readiness
        while service.is_step or child.exit_code is None:
            try:
                await _asked(probe(client, child.started), None if service.is_step else child)
                if service.is_step or child.exit_code is None:
                    if service.once_healthy is not None:
                        await service.once_healthy(client, child.started)
                    return ""
            except NotReady as reason:
                self._change(service, detail=str(reason))
                if is_first and time.time() > deadline:
                    self._fail(service, f"not ready after {self._patience.readiness:g} s ({reason})")
            await asyncio.sleep(self._patience.between_probes)
        return described(child.exit_code or 0)

    def _fail(self, service: Service, reason: str) -> NoReturn:
        self._change(service, state=ServiceState.FAILED, detail=reason)
        raise StartFailed(f"{service.name} did not start: {reason}.")

    def _start(self, service: Service) -> Child:
        restarts = self._record.services[service.name].restarts
        child = Child.start(service, self._directory.log_of(service.name), self._directory.path)
        self._children[service.name] = child
        self._change(service, state=ServiceState.STARTING, identity=child.identity)
        _log.info("Service was started.", service=service.name, restarts=restarts)
        return child

    async def _pause_before_restart(self, service: Service, reason: str, died: int) -> None:
        pause = self._patience.pause(died)
        restarts = self._record.services[service.name].restarts + 1
        _log.warning(
            "Service died and is restarted.", service=service.name, reason=reason, pause_seconds=pause
        )
        self._change(service, state=ServiceState.RESTARTING, identity=None, restarts=restarts, detail=reason)
        await asyncio.sleep(pause)

    async def _await(self, names: frozenset[ServiceName]) -> None:
        for name in names:
            await self._healthy[name].wait()

    async def _stop_all(self, failure: str) -> None:
        self._write(state=PlatformState.STOPPING, failure=failure)
        for turn in Stops:
            await self._end_all_but([service for service in self._services if service.stops > turn])
        self._write(state=PlatformState.FAILED if failure else PlatformState.STOPPED, supervisor=None)
        _log.info("All services have ended.", failure=failure or None)

    async def _end_all_but(self, kept: Collection[Service]) -> None:
        await asyncio.gather(*(self._end(service) for service in self._services if service not in kept))
        # the launcher's fork server is nobody's child: it interrupts the runs and ends its zygotes itself
        grace = 0 if self._hurry.is_set() else self._patience.grace
        await asyncio.to_thread(stopping.stop, self._directory.dagster_home, grace)
        # whatever else lost its parent; looked for before what those that are kept have, who may start others still
        members = processes.members(self._record)
        parents = {self._children[service.name].pid for service in kept if service.name in self._children}
        sessions = parents.union(*(service.sessions() for service in kept))
        families = processes.descendants(parents)
        left = [
            process
            for process in members
            if process.pid not in families and processes.session(process.pid) not in sessions
        ]
        await asyncio.to_thread(processes.end, left, grace)

    async def _end(self, service: Service) -> None:
        child = self._children.get(service.name)
        if child is None:
            return
        child.signal_group(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience.grace):
                await _first_of(child.group_ended(), self._hurry.wait())
        if child.exit_code is None:
            _log.warning("Service does not stop and is killed.", service=service.name)
            child.signal_group(signal.SIGKILL)
            await child.ended()
        if service.once_ended is not None:
            grace = 0 if self._hurry.is_set() else self._patience.grace
            await asyncio.to_thread(service.once_ended, grace)
        if self._record.services[service.name].state not in {ServiceState.FAILED, ServiceState.DONE}:
            self._change(service, state=ServiceState.STOPPED, identity=None)

    def _change(self, service: Service, **fields: object) -> None:
        before = self._record.services[service.name]
        after = replace(before, **fields)  # type: ignore[arg-type]
        if after != before:
            self._write(services={**self._record.services, service.name: after})

    def _write(self, **fields: object) -> None:
        self._record = replace(self._record, **fields)  # type: ignore[arg-type]
        record.write(self._directory, self._record)


def _failure(keeping: "asyncio.Future[list[None]]") -> str:
    """Why the services are not kept any more, empty if they are, or if all were steps that are done."""
    if not keeping.done() or (error := keeping.exception()) is None:
        return ""
    if not isinstance(error, StartFailed):
        _log.error("The supervisor failed.", exc_info=error)
    return str(error) or repr(error)


async def _asked(question: Coroutine[Any, Any, None], child: Child | None) -> None:
    """Wait for the answer, or for the end of whoever should give it."""
    await (_first_of(question, child.ended()) if child is not None else question)


async def _first_of(*awaited: Coroutine[Any, Any, object]) -> None:
    """Wait for the first to end, give up the others, raise what the first raised."""
    tasks = [asyncio.ensure_future(one) for one in awaited]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _cancelled(*tasks)
    for task in done:
        task.result()


async def _cancelled(*futures: "asyncio.Future[Any]") -> None:
    for future in futures:
        future.cancel()
    await asyncio.gather(*futures, return_exceptions=True)
