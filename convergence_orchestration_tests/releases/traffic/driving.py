"""A Dagster that ticks the sensor and carries out its runs."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.releases.model import EventKind, ReleaseEvent, RevisionName, shares_of
from convergence_orchestration.releases.resources import release_resources
from convergence_orchestration.releases.specification import ServiceSpecification
from convergence_orchestration.releases.traffic.jobs import MIGRATE_JOB
from convergence_orchestration.releases.traffic.sensors import traffic_migration_sensor
from convergence_orchestration_tests.releases.cloud import Works

SECONDS_BETWEEN_TICKS = 5.0


@dataclass
class Dagster:
    """The daemon's part for one service: ticks no more often than every 5 s, runs as soon as they are launched."""

    works: Works
    specification: ServiceSpecification
    instance: dg.DagsterInstance
    cursor: str | None = None
    launched: list[str] = field(default_factory=list)
    failures: int = 0

    def __post_init__(self) -> None:
        site = self.works.site
        releases = release_resources(site.settings)["releases"].model_copy(
            update={
                "specifications": {site.environment: self.specification.model_dump_json()},
            }
        )
        self.definitions = build_definitions(site.settings, {"releases": releases})

    def tick(self) -> None:
        resources: Any = self.definitions.resources
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={name: resources[name] for name in ("bigquery", "releases")},
        ) as context:
            result: Any = traffic_migration_sensor(context)
        self.cursor = result.cursor
        for request in result.run_requests or ():
            self.launched.append(str(request.run_key))
            job = self.definitions.get_job_def(MIGRATE_JOB)
            done = job.execute_in_process(
                run_config=request.run_config,
                tags={**job.tags, **request.tags},
                instance=self.instance,
                raise_on_error=False,
            )
            self.failures += not done.success

    def forget(self) -> None:
        """Lose the sensor's cursor, as a fresh Dagster has none; also, an idle sensor would wait 15 s."""
        self.cursor = None

    def launch(self, job_name: str, op: str, **config: object) -> None:
        job = self.definitions.get_job_def(job_name)
        assert job.execute_in_process(
            run_config={"ops": {op: {"config": config}}}, instance=self.instance, tags=dict(job.tags)
        ).success

    def until(self, condition: Callable[[list[ReleaseEvent]], object], patience: float) -> list[ReleaseEvent]:
        """Tick as the daemon does until the events fulfil the condition."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            began = time.monotonic()
            self.tick()
            events = self.events()
            if condition(events):
                return events
            time.sleep(max(0.0, SECONDS_BETWEEN_TICKS - (time.monotonic() - began)))
        raise AssertionError([f"{event.kind} {event.reason}" for event in self.events()])

    def events(self) -> list[ReleaseEvent]:
        return self.works.site.events.of_service(self.works.site.environment, self.works.service)

    def shares(self) -> dict[RevisionName, int]:
        state = self.works.site.read()
        assert state is not None
        return {name: int(share) for name, share in shares_of(state.serving).items()}


def happened(kind: EventKind) -> Callable[[list[ReleaseEvent]], bool]:
    return lambda events: any(event.kind is kind for event in events)
