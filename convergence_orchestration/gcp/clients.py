"""Google's clients, made from settings: the one place that knows whether an emulator is asked.

With an emulator's host set, a client is anonymous and without TLS; nothing else differs. Google's libraries are
imported when their client is wanted: every run worker pays for what it imports.
"""

import os
from typing import TYPE_CHECKING

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.translate import Service, translated
from convergence_orchestration.settings import Settings

if TYPE_CHECKING:
    import grpc
    from google.auth.credentials import Credentials
    from google.cloud.bigquery import Client
    from google.cloud.kms_v1.services.key_management_service import KeyManagementServiceClient
    from google.cloud.secretmanager_v1.services.secret_manager_service import SecretManagerServiceClient

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)

_CHANNEL_OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # no proxy knows the way to a loopback port
    ("grpc.max_reconnect_backoff_ms", 1000),  # an emulator that comes back is found again at once
)


def bigquery_client(settings: Settings) -> "Client":
    """The client of BigQuery for the project and location of the settings.

    Raises:
        PermanentError: PERMISSION_DENIED if there are no usable credentials.
    """
    from google.api_core.client_options import ClientOptions  # noqa: PLC0415 see the module's docstring
    from google.cloud.bigquery import Client  # noqa: PLC0415

    host = settings.bigquery_emulator_host
    client = Client(
        project=settings.gcp_project_id,
        location=settings.bigquery_location,
        credentials=_credentials(settings, host),
        client_options=ClientOptions(api_endpoint=host) if host else None,
    )
    if host:
        client._http.trust_env = False  # noqa: SLF001 no proxy knows the way to a loopback port
    return client


def kms_client(settings: Settings) -> "KeyManagementServiceClient":
    """The client of Cloud KMS.

    Raises:
        PermanentError: PERMISSION_DENIED if there are no usable credentials.
    """
    from google.cloud.kms_v1.services.key_management_service import KeyManagementServiceClient  # noqa: PLC0415
    from google.cloud.kms_v1.services.key_management_service.transports import (  # noqa: PLC0415
        KeyManagementServiceGrpcTransport,
    )

    host = settings.kms_emulator_host
    if host is None:
        return KeyManagementServiceClient(credentials=_credentials(settings, host))
    return KeyManagementServiceClient(
        transport=KeyManagementServiceGrpcTransport(host=host, channel=_insecure_channel(host))
    )


def secret_manager_client(settings: Settings) -> "SecretManagerServiceClient":
    """The client of Secret Manager.

    Raises:
        PermanentError: PERMISSION_DENIED if there are no usable credentials.
    """
    from google.cloud.secretmanager_v1.services.secret_manager_service import (  # noqa: PLC0415
        SecretManagerServiceClient,
    )
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (  # noqa: PLC0415
        SecretManagerServiceGrpcTransport,
    )

    host = settings.secret_manager_emulator_host
    if host is None:
        return SecretManagerServiceClient(credentials=_credentials(settings, host))
    return SecretManagerServiceClient(
        transport=SecretManagerServiceGrpcTransport(host=host, channel=_insecure_channel(host))
    )


def _insecure_channel(host: str) -> "grpc.Channel":
    import grpc  # noqa: PLC0415

    return grpc.insecure_channel(host, options=_CHANNEL_OPTIONS)


def _credentials(settings: Settings, emulator_host: str | None) -> "Credentials":
    """Anonymous for an emulator; the file that the settings name; application default credentials otherwise."""
    import google.auth  # noqa: PLC0415
    from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415

    if emulator_host:
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    path = settings.google_application_credentials
    if path is not None and path != os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        return _from_file(path)  # named in .env, where Google's library does not look
    with translated(
        "finding credentials", Service("Google Cloud", "googleapis.com", settings.gcp_project_id)
    ):
        found: Credentials = google.auth.default(scopes=_SCOPES)[0]
        return found


def _from_file(path: str) -> "Credentials":
    from google.oauth2 import service_account  # noqa: PLC0415

    try:
        made: Credentials = service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
            path, scopes=_SCOPES
        )
    except (OSError, ValueError):  # not chained: the file is a secret
        raise PermanentError(
            ErrorCode.INVALID_SETTINGS,
            f"Set GOOGLE_APPLICATION_CREDENTIALS to the path of a service account file: {path} is none.",
        ) from None
    return made
