"""The scene of an environment over Google's clients, made from settings.

What belongs here: opening and closing. Which clients there are is gcp/clients.py.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import monitoring_client, run_clients
from convergence_orchestration.gcp.monitoring import Monitoring
from convergence_orchestration.gcp.run import CloudRun
from convergence_orchestration.releases.answering import client
from convergence_orchestration.releases.specification import ServiceSpecification
from convergence_orchestration.releases.store import ReleaseEvents
from convergence_orchestration.releases.traffic.meters import Meters
from convergence_orchestration.releases.traffic.scene import Scene
from convergence_orchestration.settings import Settings

PROBE_SECONDS = 1.5
"""A probe takes no longer; three times the slowest answer that is allowed."""
CALL_SECONDS = 5.0
"""So long one call of Google is repeated: a decision on old evidence is none, and the next tick looks again."""


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def opened_scene(
    settings: Settings,
    specification: ServiceSpecification,
    bigquery: BigQuery,
    clock: Callable[[], datetime] = _now,
) -> Iterator[Scene]:
    """The service of the settings' environment; every client but BigQuery's is closed at the end.

    Raises:
        PermanentError: INVALID_SETTINGS; PERMISSION_DENIED if there are no usable credentials.
    """
    policy = specification.rollout.policy(settings.rollout_bake_seconds)
    with ExitStack() as undo:
        run = CloudRun(
            *run_clients(settings), settings.gcp_project_id, settings.run_region, total_seconds=CALL_SECONDS
        )
        undo.callback(run.close)
        monitoring = Monitoring(
            monitoring_client(settings), settings.gcp_project_id, total_seconds=CALL_SECONDS
        )
        undo.callback(monitoring.close)
        http = undo.enter_context(client(settings.run_authority_file, PROBE_SECONDS))
        yield Scene(
            environment=settings.environment.value,
            service=specification.service,
            policy=policy,
            run=run,
            meters=Meters(monitoring, specification.service, settings.meter_step, settings.meter_late),
            events=ReleaseEvents(bigquery),
            http=http,
            clock=clock,
        )
