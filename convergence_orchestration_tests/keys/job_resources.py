"""The resources that the jobs of keys run with, for the emulators of these settings."""

from convergence_orchestration.audit.resources import RunTrails, audit_resources
from convergence_orchestration.gcp.resources import BigQueryConnection, settings_resources
from convergence_orchestration.keys.resources import key_resources
from convergence_orchestration.settings import Settings


def job_resources(settings: Settings) -> dict[str, object]:
    connections = settings_resources(settings)
    connection = connections["bigquery"]
    assert isinstance(connection, BigQueryConnection)
    trails = RunTrails(connection, settings.environment)
    return {**connections, **audit_resources(trails), **key_resources(settings)}
