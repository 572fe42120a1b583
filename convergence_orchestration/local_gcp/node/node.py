"""One look at everything, and what follows: the node's loop.

What belongs here: the order of the steps. Each may be the last before a death; the next node goes on from the store, the
records and the two files that it shares with the front door.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from google.cloud.run_v2 import Probe

from convergence_orchestration.local_gcp.cloud_run import conditions, names, observe
from convergence_orchestration.local_gcp.cloud_run.conditions import Reason, RevisionReason
from convergence_orchestration.local_gcp.front_door_contract import (
    FrontDoorStatus,
    Routes,
    read_routes,
    read_status,
    write_routes,
)
from convergence_orchestration.local_gcp.node import plan, routing
from convergence_orchestration.local_gcp.node.crew import Crew
from convergence_orchestration.local_gcp.node.desired import Desired, WantedRevision, desired
from convergence_orchestration.local_gcp.node.plan import Health
from convergence_orchestration.local_gcp.node.programs import CannotRunError, Surroundings, program_for
from convergence_orchestration.local_gcp.node.scaling import Bounds, Scale, rescale
from convergence_orchestration.local_gcp.store import Store
from convergence_orchestration.logs import logger

_log = logger(__name__)


class Node:
    """Runs what the store of one data directory asks for."""

    def __init__(
        self, store: Store, data_dir: Path, surroundings: Surroundings, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._data_dir = data_dir
        self._surroundings = surroundings
        self._clock = clock
        self._crew = Crew(data_dir)
        self._health: dict[str, Health] = {}
        self._scales: dict[str, Scale] = {}
        self._can_read_status = True
        self._status = FrontDoorStatus()
        self._status = self._read_status()
        # What the front door has confirmed is never given out a second time, whatever became of the routes' file.
        served = Routes(self._status.version)
        self._routes = max(_read_routes(data_dir), served, key=lambda routes: routes.version)
        self._routed_since = {
            routing.full_name(service): self._routes.version for service in self._routes.services
        }

    def step(self) -> None:
        """Look once, and do what is to be done now."""
        at = self._clock()
        now = at.timestamp()
        with self._store.reading() as rows:
            wanted = desired(rows)
        status = self._status = self._read_status()
        self._watch(wanted, now)
        self._report(wanted, at)
        self._start_and_drain(wanted, status, now)
        self._route(wanted)
        self._confirm(wanted, status, at)
        self._crew.end_drained(status.version, lambda name: status.in_flight.get(names.short(name)), now)
        self._let_go(wanted, status)

    def close(self) -> None:
        """Stop looking; the instances go on."""
        self._crew.close()

    def _read_status(self) -> FrontDoorStatus:
        try:
            status = read_status(self._data_dir)
        except (ValueError, TypeError, AttributeError):
            if self._can_read_status:
                _log.error("The front door's status cannot be read; start the front door again.")
            self._can_read_status = False
            return self._status
        self._can_read_status = True
        return status

    def _watch(self, wanted: Desired, now: float) -> None:
        for failure in self._crew.failures(now):
            health = self._health.get(failure.revision, Health())
            self._health[failure.revision] = plan.after_failure(
                health, failure.problem, now, is_hopeless=failure.is_too_late
            )
            _log.warning("An instance failed.", revision=failure.revision, problem=failure.problem)
        self._crew.look_for_ready(lambda name: _probe(wanted, name), now)
        self._scales = {name: scale for name, scale in self._scales.items() if name in wanted.revisions}
        self._health = {
            name: plan.after_success(health, self._crew.of(name), now)
            for name, health in self._health.items()
            if name in wanted.revisions
        }

    def _report(self, wanted: Desired, at: datetime) -> None:
        """Tell the store which new revisions are ready or have failed, and which of the others keep ending."""
        for name, one in wanted.revisions.items():
            health = self._health.get(name, Health())
            is_up = any(instance.is_serving for instance in self._crew.of(name))
            if one.is_new and is_up:
                with self._store.writing() as rows:
                    observe.revision_is_ready(rows, name, at)
            elif one.is_new and health.has_failed_to_start:
                self._report_failure(one, health, at)
            elif one.is_routed and _is_news(one, health):
                problem = f"The container ended {health.failures} times in a row. {health.problem}"
                with self._store.writing() as rows:
                    observe.revision_health(rows, name, problem if health.is_looping else "", at)

    def _report_failure(self, one: WantedRevision, health: Health, at: datetime) -> None:
        container = one.revision.containers[0]
        if "http_get" in container.startup_probe:
            message = conditions.PROBE_FAILED
        else:
            message = conditions.NOT_LISTENING.format(port=container.ports[0].container_port)
        reason = RevisionReason.HEALTH_CHECK_CONTAINER_ERROR
        with self._store.writing() as rows:
            observe.revision_failed(rows, one.revision.name, f"{message} {health.problem}", reason, at)

    def _start_and_drain(self, wanted: Desired, status: FrontDoorStatus, now: float) -> None:
        by_revision = {instance.revision for instance in self._crew.instances} | set(wanted.revisions)
        for name in sorted(by_revision):
            one = wanted.revisions.get(name)
            health = self._health.get(name, Health())
            count = self._count(one, status, now) if one is not None else 0
            change = plan.change(count, self._crew.of(name), health, now)
            self._crew.drain(change.drain, now)
            for _ in range(change.start if one is not None else 0):
                self._start(one, now)  # type: ignore[arg-type]  # not None in this loop

    def _count(self, one: WantedRevision, status: FrontDoorStatus, now: float) -> int:
        health = self._health.get(one.revision.name, Health())
        if not one.is_routed:
            return 0 if health.has_failed_to_start else 1
        scaling = one.revision.scaling
        bounds = Bounds(
            scaling.min_instance_count,
            scaling.max_instance_count,
            one.revision.max_instance_request_concurrency,
        )
        bounds = bounds.within(self._surroundings.most_instances)
        before = self._scales.get(one.revision.name, Scale(len(self._crew.of(one.revision.name))))
        scale = rescale(before, bounds, status.in_flight.get(one.short), now)
        self._scales[one.revision.name] = scale
        return scale.count

    def _start(self, one: WantedRevision, now: float) -> None:
        name = one.revision.name
        try:
            with self._store.reading() as rows:
                self._crew.start(
                    one.revision,
                    lambda identifier, port: program_for(
                        rows, one.revision, self._data_dir, self._surroundings, identifier, port
                    ),
                    now,
                )
        except CannotRunError as error:
            self._cannot_run(one, error, now)
        except OSError as error:
            problem = f"Its command cannot be run: {error.strerror or error}."
            self._health[name] = plan.after_failure(self._health.get(name, Health()), problem, now)

    def _cannot_run(self, one: WantedRevision, error: CannotRunError, now: float) -> None:
        name = one.revision.name
        self._health[name] = plan.after_failure(self._health.get(name, Health()), error.message, now)
        if one.is_new:
            reason = (
                Reason.SECRETS_ACCESS_CHECK_FAILED if error.is_about_secrets else Reason.CONTAINER_MISSING
            )
            with self._store.writing() as rows:
                observe.revision_failed(rows, name, error.message, reason, self._clock())

    def _route(self, wanted: Desired) -> None:
        before = self._routes
        after = routing.next_routes(wanted, self._crew.instances, before)
        if after.version != before.version:
            write_routes(self._data_dir, after)
            self._routed_since = _routed_since(before, after, self._routed_since)
            self._routes = after
        self._crew.leave_out(after.version, routing.ports_in(before))

    def _confirm(self, wanted: Desired, status: FrontDoorStatus, at: datetime) -> None:
        """Tell the store which services' requests go where they shall by now."""
        services = {service.name: service for service in wanted.services}
        for routed in self._routes.services:
            name = routing.full_name(routed)
            shares = routing.shares_in(routed)
            service = services.get(name)
            is_news = service is not None and service.target == shares and service.served != shares
            if is_news and status.version >= self._routed_since[name]:
                with self._store.writing() as rows:
                    observe.requests_are_routed(rows, name, shares, at)

    def _let_go(self, wanted: Desired, status: FrontDoorStatus) -> None:
        """Forget deleted services of which nothing is served or runs."""
        routed = {routing.full_name(service) for service in self._routes.services}
        busy = {names.service_of(instance.revision) for instance in self._crew.instances}
        is_served = status.version >= self._routes.version
        for service in wanted.services:
            if service.is_deleting and is_served and service.name not in routed | busy:
                with self._store.writing() as rows:
                    observe.service_is_gone(rows, service.name)


def _read_routes(data_dir: Path) -> Routes:
    try:
        return read_routes(data_dir)
    except (ValueError, TypeError, AttributeError, KeyError):
        _log.error("The routes cannot be read; they are made anew.")
        return Routes()


def _probe(wanted: Desired, name: str) -> Probe | None:
    one = wanted.revisions.get(name)
    return one.revision.containers[0].startup_probe if one is not None else None


def _is_news(one: WantedRevision, health: Health) -> bool:
    said = conditions.is_in(one.revision, conditions.CONTAINER_HEALTHY, conditions.State.CONDITION_FAILED)
    # Healthy again only when an instance has served for a while: between two ends nothing is well.
    return health.is_looping if not said else not health.failures


def _routed_since(before: Routes, after: Routes, since: dict[str, int]) -> dict[str, int]:
    """By service, the first version with the shares that the routes `after` have."""
    known = {routing.full_name(service): routing.shares_in(service) for service in before.services}
    return {
        name: since[name] if known.get(name) == routing.shares_in(service) else after.version
        for service in after.services
        if (name := routing.full_name(service))
    }
