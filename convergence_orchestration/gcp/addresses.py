"""Where each of Google's services is reached, as the settings have it.

What belongs here: hosts and ports, for those who try connections. Clients are made in `clients.py`.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from convergence_orchestration.settings import Settings

_HTTPS = 443


@dataclass(frozen=True)
class Address:
    """Where one service is reached.

    Attributes:
        api: Google's name of the service, which is enabled for a project.
        speaks_http: it answers plain HTTP requests, and so tells its time.
    """

    name: str
    api: str
    host: str
    port: int
    is_emulator: bool
    speaks_http: bool

    @property
    def text(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"


def addresses_of(settings: Settings) -> tuple[Address, ...]:
    """Every service of Google's that the platform asks."""
    named = (
        ("BigQuery", "bigquery.googleapis.com", settings.bigquery_emulator_host),
        ("Cloud KMS", "cloudkms.googleapis.com", settings.kms_emulator_host),
        ("Secret Manager", "secretmanager.googleapis.com", settings.secret_manager_emulator_host),
        ("Cloud Run", "run.googleapis.com", settings.run_emulator_host),
        ("Cloud Build", "cloudbuild.googleapis.com", settings.build_emulator_host),
        ("Cloud Monitoring", "monitoring.googleapis.com", settings.monitoring_emulator_host),
        ("Cloud Logging", "logging.googleapis.com", settings.logging_emulator_host),
    )
    return tuple(_address(name, api, emulator) for name, api, emulator in named)


def _address(name: str, api: str, emulator: str | None) -> Address:
    if emulator is None:
        return Address(name, api, api, _HTTPS, is_emulator=False, speaks_http=True)
    is_url = "//" in emulator
    parts = urlsplit(emulator if is_url else f"//{emulator}")
    return Address(name, api, parts.hostname or "", parts.port or 80, is_emulator=True, speaks_http=is_url)
