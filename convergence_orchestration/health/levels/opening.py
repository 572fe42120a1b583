"""A reader of one environment's levels over Google's client, made from settings.

What belongs here: opening and closing.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from convergence_orchestration.gcp.clients import monitoring_client
from convergence_orchestration.gcp.monitoring import Monitoring
from convergence_orchestration.health.levels.reading import LevelsReader
from convergence_orchestration.settings import Settings

CALL_SECONDS = 20.0
"""So long one call is repeated; thirty days take Monitoring a while."""


@contextmanager
def opened_levels(settings: Settings, service: str) -> Iterator[LevelsReader]:
    """The levels of a service of the settings' environment; the client is closed at the end.

    Raises:
        PermanentError: PERMISSION_DENIED if there are no usable credentials.
    """
    monitoring = Monitoring(monitoring_client(settings), settings.gcp_project_id, total_seconds=CALL_SECONDS)
    try:
        yield LevelsReader(
            monitoring, settings.environment.value, service, settings.meter_step, settings.meter_late
        )
    finally:
        monitoring.close()
