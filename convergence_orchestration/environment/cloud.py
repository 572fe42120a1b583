"""The services that an environment is prepared in, opened and closed together.

What belongs here: opening them for one environment, as ourselves and as the environment's service account.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from convergence_orchestration.environment.model import Declared, declared_by
from convergence_orchestration.gcp.clients import kms_client, secret_manager_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.secret_versions import SecretVersions
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.settings import Settings


@dataclass(frozen=True)
class Cloud:
    """One environment's services, with the rights of whoever runs this."""

    settings: Settings
    declared: Declared
    kms: Kms
    secrets: Secrets

    @property
    def secret_versions(self) -> SecretVersions:
        """The metadata of the same secrets."""
        return SecretVersions(self.secrets)


@contextmanager
def opened(settings: Settings) -> Iterator[Cloud]:
    """The services of the settings' environment, closed at the end."""
    kms, secrets = kms_client(settings), secret_manager_client(settings)
    try:
        yield Cloud(
            settings,
            declared_by(settings),
            Kms(kms, settings.crypto_key_name, deadline_seconds=settings.kms_deadline_seconds),
            Secrets(secrets, settings.gcp_project_id),
        )
    finally:
        kms.transport.close()  # type: ignore[no-untyped-call]
        secrets.transport.close()  # type: ignore[no-untyped-call]


@contextmanager
def sealing_as(settings: Settings, service_account: str) -> Iterator[Kms]:
    """Cloud KMS with exactly the rights of a service account, closed at the end.

    Raises:
        PermanentError: PERMISSION_DENIED if we may not act as that account.
    """
    client = kms_client(settings, acting_as=service_account)
    try:
        yield Kms(client, settings.crypto_key_name, service_account, settings.kms_deadline_seconds)
    finally:
        client.transport.close()  # type: ignore[no-untyped-call]
