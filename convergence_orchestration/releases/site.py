"""The place that releases of one environment go to: Cloud Run, Cloud Build, the addresses, and the log of events.

What belongs here: opening and closing these together, and reading a service in one go. What is done there is deploying.py.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from convergence_orchestration.audit.model import AuditSink
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.build import CloudBuild
from convergence_orchestration.gcp.clients import build_client, run_clients
from convergence_orchestration.gcp.run import CloudRun
from convergence_orchestration.releases.answering import client
from convergence_orchestration.releases.model import RevisionName, ServiceState
from convergence_orchestration.releases.specification import ServiceSpecification
from convergence_orchestration.releases.store import ReleaseEvents
from convergence_orchestration.releases.template import state_of
from convergence_orchestration.settings import Settings


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Site:
    """One environment's service, and everything that a release of it needs.

    Attributes:
        settings: of that environment.
        specification: what Cloud Run shall serve.
        http: asks Cloud Run's addresses.
        audit: records what people decide.
        ready_seconds: how long a revision may take until it is decided whether it can serve.
        smoke_seconds: how long a new tag may take until it leads to the revision.
    """

    settings: Settings
    specification: ServiceSpecification
    run: CloudRun
    build: CloudBuild
    http: httpx.Client
    events: ReleaseEvents
    audit: AuditSink
    clock: Callable[[], datetime] = _now
    ready_seconds: float = 600.0
    smoke_seconds: float = 30.0

    @property
    def environment(self) -> str:
        """Its name."""
        return self.settings.environment.value

    @property
    def service(self) -> str:
        """The service's name."""
        return self.specification.service

    def read(self, *named: RevisionName) -> ServiceState | None:
        """The service as it is now, with its revisions that serve, are asked for or are named; None if there is none."""
        service = self.run.find_service(self.service)
        if service is None:
            return None
        state = state_of(service, ())
        wanted = dict.fromkeys((*(target.revision for target in (*state.asked, *state.serving)), *named))
        found = (self.run.find_revision(self.service, name) for name in wanted if name)
        return state_of(service, [revision for revision in found if revision is not None])


@contextmanager
def opened(
    settings: Settings, specification: ServiceSpecification, bigquery: BigQuery, audit: AuditSink
) -> Iterator[Site]:
    """The site of the settings' environment, closed at the end; the log is in this BigQuery, whoever's environment it is."""
    run = CloudRun(*run_clients(settings), settings.gcp_project_id, settings.run_region)
    build = CloudBuild(build_client(settings), settings.gcp_project_id, settings.run_region)
    try:
        with client(settings.run_authority_file) as http:
            yield Site(settings, specification, run, build, http, ReleaseEvents(bigquery), audit)
    finally:
        run.close()
        build.close()
