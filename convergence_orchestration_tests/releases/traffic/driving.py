"""A Dagster that ticks the sensor and carries out its runs, and clients that ask the service meanwhile."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import httpx

from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.releases.answering import client
from convergence_orchestration.releases.model import EventKind, ReleaseEvent, RevisionName, shares_of
from convergence_orchestration.releases.resources import release_resources
from convergence_orchestration.releases.specification import ServiceSpecification
from convergence_orchestration.releases.traffic.jobs import MIGRATE_JOB
from convergence_orchestration.releases.traffic.sensors import traffic_migration_sensor
from convergence_orchestration_tests.releases.cloud import Works, small_tree

SECONDS_BETWEEN_TICKS = 5.0
_HEALTHY = """        if self.path.startswith("/health"):
"""
_BY_BEHAVIOUR = """        if self.path == "/work" and BEHAVIOUR == "errors" and Answer.asked % 5 == 0:
            return self.answer(500, {"error": "every fifth"})
        if self.path == "/work":
            return self.answer(200, {"revision": os.environ["K_REVISION"]})
"""


def working_tree(directory: Path) -> Path:
    """The small image that also answers `/work`, as BEHAVIOUR says, and whose connections last."""
    tree = small_tree(directory)
    main = tree / "small" / "__main__.py"
    text = main.read_text().replace(_HEALTHY, _BY_BEHAVIOUR + _HEALTHY)
    text = text.replace(
        "    asked = 0\n", '    asked = 0\n    protocol_version = "HTTP/1.1"\n    wbufsize = -1\n'
    )
    main.write_text(text)
    return tree


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


@dataclass
class Answers:
    """What clients were answered: status by revision, and when the first error was."""

    counts: Counter[int | str] = field(default_factory=Counter)
    errors: list[float] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def failed(self) -> int:
        return sum(number for status, number in self.counts.items() if status != httpx.codes.OK)


@contextmanager
def asking(works: Works, rate: float, threads: int = 4) -> Iterator[Answers]:
    """So many requests a second to the service's address until the end of the block."""
    service = works.site.run.find_service(works.service)
    assert service is not None
    answers = Answers()
    arguments = (works.site.settings.run_authority_file, f"{service.uri}/work", rate / threads, answers)
    workers = [threading.Thread(target=_ask, args=arguments) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield answers
    finally:
        answers.stopping.set()
        for worker in workers:
            worker.join()


def _ask(authority: str | None, url: str, rate: float, answers: Answers) -> None:
    following = time.monotonic()
    with client(authority, 10) as http:
        while not answers.stopping.is_set():
            try:
                status: int | str = http.get(url).status_code
            except httpx.TransportError as error:
                status = type(error).__name__
            answers.counts[status] += 1
            if status != httpx.codes.OK:
                answers.errors.append(time.time())
            following += 1 / rate
            time.sleep(max(0.0, following - time.monotonic()))
