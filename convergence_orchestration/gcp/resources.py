"""Dagster's resources around Google's clients, and how our errors look in Dagster.

What belongs here: the connections and nothing about what goes through them. A resource's fields are stored and shown in
the UI, so none of them is a secret: credentials are found when a client is made (`clients.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_gcp import BigQueryResource, GCSPickleIOManager, GCSResource
from pydantic import Field, PrivateAttr

from convergence_orchestration.errors import ConvergenceError, TransientError
from convergence_orchestration.gcp import clients
from convergence_orchestration.settings import Settings, load_settings

if TYPE_CHECKING:
    from google.cloud.bigquery import Client

    from convergence_orchestration.gcp.bigquery import BigQuery
    from convergence_orchestration.gcp.kms import Kms
    from convergence_orchestration.gcp.secrets import Secrets

OP_OUTPUTS_PREFIX = "op-outputs"

_EMULATOR = "Whom to ask instead of Google, without credentials and TLS; unset, Google is asked."
_CREDENTIALS = "Path of a service account file; unset, application default credentials are used."


class BigQueryConnection(BigQueryResource):
    """BigQuery in one project and location. `gcp_credentials` stays unset: it would be stored."""

    emulator_host: str | None = Field(default=None, description=_EMULATOR)
    credentials_file: str | None = Field(default=None, description=_CREDENTIALS)
    _bigquery: "BigQuery | None" = PrivateAttr(default=None)

    @contextmanager
    def get_client(self) -> Iterator["Client"]:
        """Google's own client, closed at the end."""
        client = self._client()
        try:
            yield client
        finally:
            client.close()  # type: ignore[no-untyped-call]

    def bigquery(self) -> "BigQuery":
        """Our BigQuery over one client, which is closed when the run's step is over."""
        from convergence_orchestration.gcp.bigquery import BigQuery  # noqa: PLC0415 see clients.py

        if self._bigquery is None:
            self._bigquery = BigQuery(self._client())
        return self._bigquery

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 Dagster's signature
        """Close what `bigquery` opened."""
        if self._bigquery is not None:
            self._bigquery.client.close()  # type: ignore[no-untyped-call]
            self._bigquery = None

    def _client(self) -> "Client":
        return clients.bigquery_client(
            _settings(
                gcp_project_id=self.project,
                bigquery_location=self.location,
                bigquery_emulator_host=self.emulator_host,
                google_application_credentials=self.credentials_file,
            )
        )


class KmsConnection(dg.ConfigurableResource["KmsConnection"]):
    """Cloud KMS with the one key that seals tenants' keys."""

    project: str = Field(description="Google Cloud project of the key ring.")
    location: str = Field(description="Location of the key ring.")
    key_ring: str = Field(description="The key ring.")
    key: str = Field(description="The crypto key in it.")
    deadline_seconds: float = Field(default=30, description="Seconds after which a call is given up.")
    emulator_host: str | None = Field(default=None, description=_EMULATOR)
    credentials_file: str | None = Field(default=None, description=_CREDENTIALS)
    _kms: "Kms | None" = PrivateAttr(default=None)

    def kms(self) -> "Kms":
        """Our KMS over one channel, which is closed when the run's step is over."""
        from convergence_orchestration.gcp.kms import Kms  # noqa: PLC0415 see clients.py

        if self._kms is None:
            settings = _settings(
                kms_project_id=self.project,
                kms_location=self.location,
                kms_keyring=self.key_ring,
                kms_key=self.key,
                kms_emulator_host=self.emulator_host,
                google_application_credentials=self.credentials_file,
            )
            client = clients.kms_client(settings)
            self._kms = Kms(client, settings.crypto_key_name, deadline_seconds=self.deadline_seconds)
        return self._kms

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 Dagster's signature
        """Close what `kms` opened."""
        if self._kms is not None:
            self._kms.client.transport.close()  # type: ignore[no-untyped-call]
            self._kms = None


class SecretManagerConnection(dg.ConfigurableResource["SecretManagerConnection"]):
    """Secret Manager of one project."""

    project: str = Field(description="Google Cloud project of the secrets.")
    emulator_host: str | None = Field(default=None, description=_EMULATOR)
    credentials_file: str | None = Field(default=None, description=_CREDENTIALS)
    _secrets: "Secrets | None" = PrivateAttr(default=None)

    def secrets(self) -> "Secrets":
        """Our Secret Manager over one channel, which is closed when the run's step is over."""
        from convergence_orchestration.gcp.secrets import Secrets  # noqa: PLC0415 see clients.py

        if self._secrets is None:
            settings = _settings(
                gcp_project_id=self.project,
                secret_manager_emulator_host=self.emulator_host,
                google_application_credentials=self.credentials_file,
            )
            self._secrets = Secrets(clients.secret_manager_client(settings), self.project)
        return self._secrets

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 Dagster's signature
        """Close what `secrets` opened."""
        if self._secrets is not None:
            self._secrets.client.transport.close()  # type: ignore[no-untyped-call]
            self._secrets = None


def settings_resources(settings: Settings) -> dict[str, dg.ConfigurableResource[object]]:
    """The resources `bigquery`, `kms` and `secret_manager` for these settings, and `io_manager` if they name a bucket."""
    credentials = settings.google_application_credentials
    return {
        **_op_outputs(settings),
        "bigquery": BigQueryConnection(
            project=settings.gcp_project_id,
            location=settings.bigquery_location,
            emulator_host=settings.bigquery_emulator_host,
            credentials_file=credentials,
        ),
        "kms": KmsConnection(
            project=settings.kms_project_id or settings.gcp_project_id,
            location=settings.kms_location,
            key_ring=settings.key_ring,
            key=settings.kms_key,
            deadline_seconds=settings.kms_deadline_seconds,
            emulator_host=settings.kms_emulator_host,
            credentials_file=credentials,
        ),
        "secret_manager": SecretManagerConnection(
            project=settings.gcp_project_id,
            emulator_host=settings.secret_manager_emulator_host,
            credentials_file=credentials,
        ),
    }


def _op_outputs(settings: Settings) -> dict[str, Any]:
    """Where steps' outputs are kept, if not in DAGSTER_HOME.

    A run that is retried begins where it failed, in production in another pod: there the first one's disk is gone.
    """
    if settings.op_outputs_bucket is None:
        return {}
    storage = GCSResource(project=settings.gcp_project_id)
    return {
        "io_manager": GCSPickleIOManager(
            gcs=storage, gcs_bucket=settings.op_outputs_bucket, gcs_prefix=OP_OUTPUTS_PREFIX
        )
    }


@contextmanager
def reported_failures() -> Iterator[None]:
    """Turn an error of ours into Dagster's Failure: what to do comes first, and what is permanent is never retried."""
    try:
        yield
    except ConvergenceError as error:
        raise dg.Failure(
            description=error.message,
            metadata={"code": str(error.code), "details": dg.JsonMetadataValue(error.details)},
            allow_retries=isinstance(error, TransientError),
        ) from error


def _settings(**overrides: object) -> Settings:
    return load_settings(**{name: value for name, value in overrides.items() if value is not None})
