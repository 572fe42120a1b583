"""Google's clients, made from settings: the one place that knows whether an emulator is asked.

With an emulator's host set, a client is anonymous and without TLS; nothing else differs. Google's libraries are
imported when their client is wanted: every run worker pays for what it imports.
"""

import os
from typing import TYPE_CHECKING, cast

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.translate import Service, translated
from convergence_orchestration.settings import Settings

if TYPE_CHECKING:
    import grpc
    from google.auth.credentials import Credentials
    from google.cloud.bigquery import Client
    from google.cloud.devtools.cloudbuild_v1 import CloudBuildClient
    from google.cloud.kms_v1.services.key_management_service import KeyManagementServiceClient
    from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
    from google.cloud.monitoring_v3 import MetricServiceClient
    from google.cloud.resourcemanager_v3 import ProjectsClient
    from google.cloud.run_v2 import RevisionsClient, ServicesClient
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


def kms_client(settings: Settings, acting_as: str | None = None) -> "KeyManagementServiceClient":
    """The client of Cloud KMS, with the rights of the service account `acting_as` and no others if one is named.

    Raises:
        PermanentError: PERMISSION_DENIED if there are no usable credentials, or if they may not act as that account.
    """
    from google.cloud.kms_v1.services.key_management_service import KeyManagementServiceClient  # noqa: PLC0415
    from google.cloud.kms_v1.services.key_management_service.transports import (  # noqa: PLC0415
        KeyManagementServiceGrpcTransport,
    )

    host = settings.kms_emulator_host
    if host is None:
        return KeyManagementServiceClient(credentials=_credentials_of(settings, acting_as))
    return KeyManagementServiceClient(
        transport=KeyManagementServiceGrpcTransport(host=host, channel=_insecure_channel(host, acting_as))
    )


def secret_manager_client(settings: Settings, acting_as: str | None = None) -> "SecretManagerServiceClient":
    """The client of Secret Manager, with the rights of the service account `acting_as` and no others if one is named.

    Raises:
        PermanentError: PERMISSION_DENIED if there are no usable credentials, or if they may not act as that account.
    """
    from google.cloud.secretmanager_v1.services.secret_manager_service import (  # noqa: PLC0415
        SecretManagerServiceClient,
    )
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (  # noqa: PLC0415
        SecretManagerServiceGrpcTransport,
    )

    host = settings.secret_manager_emulator_host
    if host is None:
        return SecretManagerServiceClient(credentials=_credentials_of(settings, acting_as))
    return SecretManagerServiceClient(
        transport=SecretManagerServiceGrpcTransport(host=host, channel=_insecure_channel(host, acting_as))
    )


def projects_client(settings: Settings, acting_as: str | None = None) -> "ProjectsClient":
    """The client of Resource Manager that knows projects' policies, with the rights of `acting_as` if one is named.

    Its emulator is Cloud KMS's: no setting of its own, for nothing but policies is asked.

    Raises:
        PermanentError: PERMISSION_DENIED if there are no usable credentials, or if they may not act as that account.
    """
    from google.cloud.resourcemanager_v3 import ProjectsClient  # noqa: PLC0415 see the module's docstring
    from google.cloud.resourcemanager_v3.services.projects.transports import ProjectsGrpcTransport  # noqa: PLC0415

    host = settings.kms_emulator_host
    if host is None:
        return ProjectsClient(credentials=_credentials_of(settings, acting_as))
    return ProjectsClient(
        transport=ProjectsGrpcTransport(host=host, channel=_insecure_channel(host, acting_as))
    )


def run_clients(settings: Settings) -> "tuple[ServicesClient, RevisionsClient]":
    """The two clients of Cloud Run that deployments need.

    Raises:
        PermanentError: PERMISSION_DENIED if there are no usable credentials.
    """
    from google.cloud.run_v2 import RevisionsClient, ServicesClient  # noqa: PLC0415
    from google.cloud.run_v2.services.revisions.transports import RevisionsGrpcTransport  # noqa: PLC0415
    from google.cloud.run_v2.services.services.transports import ServicesGrpcTransport  # noqa: PLC0415

    host = settings.run_emulator_host
    if host is None:
        credentials = _credentials(settings, host)
        return ServicesClient(credentials=credentials), RevisionsClient(credentials=credentials)
    services = ServicesGrpcTransport(host=host, channel=_insecure_channel(host))
    revisions = RevisionsGrpcTransport(host=host, channel=_insecure_channel(host))
    return ServicesClient(transport=services), RevisionsClient(transport=revisions)


def build_client(settings: Settings) -> "CloudBuildClient":
    """The client of Cloud Build.

    Raises:
        PermanentError: PERMISSION_DENIED if there are no usable credentials.
    """
    from google.cloud.devtools.cloudbuild_v1 import CloudBuildClient  # noqa: PLC0415
    from google.cloud.devtools.cloudbuild_v1.services.cloud_build.transports import (  # noqa: PLC0415
        CloudBuildGrpcTransport,
    )

    host = settings.build_emulator_host
    if host is None:
        return CloudBuildClient(credentials=_credentials(settings, host))
    return CloudBuildClient(transport=CloudBuildGrpcTransport(host=host, channel=_insecure_channel(host)))


def monitoring_client(settings: Settings) -> "MetricServiceClient":
    """The client of Cloud Monitoring that reads time series.

    Raises:
        PermanentError: PERMISSION_DENIED if there are no usable credentials.
    """
    from google.cloud.monitoring_v3 import MetricServiceClient  # noqa: PLC0415
    from google.cloud.monitoring_v3.services.metric_service.transports import (  # noqa: PLC0415
        MetricServiceGrpcTransport,
    )

    host = settings.monitoring_emulator_host
    if host is None:
        return MetricServiceClient(credentials=_credentials(settings, host))
    channel = _insecure_channel(host)
    return MetricServiceClient(transport=MetricServiceGrpcTransport(host=host, channel=channel))


def logging_client(settings: Settings) -> "LoggingServiceV2Client":
    """The client of Cloud Logging that reads entries.

    Raises:
        PermanentError: PERMISSION_DENIED if there are no usable credentials.
    """
    from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client  # noqa: PLC0415
    from google.cloud.logging_v2.services.logging_service_v2.transports import (  # noqa: PLC0415
        LoggingServiceV2GrpcTransport,
    )

    host = settings.logging_emulator_host
    if host is None:
        return LoggingServiceV2Client(credentials=_credentials(settings, host))
    channel = _insecure_channel(host)
    return LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(host=host, channel=channel))


def _insecure_channel(host: str, acting_as: str | None = None) -> "grpc.Channel":
    import grpc  # noqa: PLC0415

    channel = grpc.insecure_channel(host, options=_CHANNEL_OPTIONS)
    if acting_as is None:
        return channel
    from convergence_orchestration.gcp.local_callers import as_caller  # noqa: PLC0415 with grpc

    return as_caller(channel, acting_as)


def _credentials_of(settings: Settings, acting_as: str | None) -> "Credentials":
    """Our own credentials, or those of a service account that we may act as, which is tried at once.

    Tried later, inside a call, a refusal would look like a service that is down.
    """
    from google.auth import impersonated_credentials  # noqa: PLC0415
    from google.auth.exceptions import RefreshError  # noqa: PLC0415
    from google.auth.transport.requests import Request  # noqa: PLC0415

    own = _credentials(settings, None)
    if acting_as is None:
        return own
    impersonated = impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
        source_credentials=own, target_principal=acting_as, target_scopes=_SCOPES, lifetime=300
    )
    with translated("signing in", Service("Google Cloud", "googleapis.com", settings.gcp_project_id)):
        own.refresh(Request())  # type: ignore[no-untyped-call]
    try:
        with translated(
            f"acting as {acting_as}", Service("IAM", "iamcredentials.googleapis.com", settings.gcp_project_id)
        ):
            impersonated.refresh(Request())  # type: ignore[no-untyped-call]
    except PermanentError as error:
        if not isinstance(error.__cause__, RefreshError):
            raise
        raise PermanentError(
            ErrorCode.PERMISSION_DENIED, _how_to_act_as(acting_as, settings.gcp_project_id)
        ) from error
    return cast("Credentials", impersonated)


def _how_to_act_as(email: str, project: str) -> str:
    return (
        f"Let whoever runs this act as {email}, which tries what that account may do: `gcloud iam service-accounts "
        f'add-iam-policy-binding {email} --project={project} --member="user:YOU" '
        '--role="roles/iam.serviceAccountTokenCreator"`. If there is no such account, make it: `gcloud iam '
        f"service-accounts create {email.partition('@')[0]} --project={project}`."
    )


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
