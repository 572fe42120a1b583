"""Every environment variable of the platform, once.

What belongs here: names, types, defaults and the sentences about wrong values. What does not: reading any other
source of configuration. `load_settings` is the only way in; a `.env` file in the working directory is read too.
"""

from datetime import timedelta
from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated, Literal, Self

from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from convergence_orchestration.errors import ErrorCode, PermanentError

_HOST_AND_PORT = r"^[^\s/:]+:[0-9]{1,5}$"


class Environment(StrEnum):
    """Where the platform runs; `short` is the guide's suffix for key rings and secrets' names."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"

    @property
    def short(self) -> str:
        """`dev`, `staging` or `prod`."""
        return {"development": "dev", "production": "prod"}.get(self.value, self.value)


class Settings(BaseSettings):
    """The settings of one process, read from the environment and `.env`; names are the variables in lower case."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    # Google Cloud
    gcp_project_id: str = Field(
        default="convergence-local",
        pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$",
        description="Google Cloud project of BigQuery, Secret Manager and Cloud Run.",
    )
    bigquery_location: str = Field(
        default="US", pattern=r"^[A-Za-z0-9-]+$", description="BigQuery location of every dataset."
    )
    google_application_credentials: str | None = Field(
        default=None,
        description="Path of a service account file; unset, application default credentials are used.",
    )

    # Cloud KMS
    kms_project_id: str | None = Field(
        default=None, description="Project of the key ring; unset, GCP_PROJECT_ID."
    )
    kms_location: str = Field(
        default="us-central1", pattern=r"^[a-z0-9-]+$", description="Location of the key ring."
    )
    kms_keyring: str | None = Field(
        default=None,
        pattern=r"^[a-zA-Z0-9_-]{1,63}$",
        description="Key ring; unset, convergence-keyring-{dev,staging,prod} by ENVIRONMENT.",
    )
    kms_key: str = Field(
        default="api-key-encryption",
        pattern=r"^[a-zA-Z0-9_-]{1,63}$",
        description="Crypto key that seals tenants' keys.",
    )
    kms_rotation_days: int = Field(
        default=90, ge=1, le=36_500, description="Days after which the crypto key gets a new primary version."
    )
    kms_deadline_seconds: float = Field(
        default=30,
        gt=0,
        le=600,
        description="Seconds after which a call of Cloud KMS is given up, with all its repetitions; an attempt has a third.",
    )

    # Cloud Run
    run_region: str = Field(
        default="us-central1",
        pattern=r"^[a-z0-9-]+$",
        description="Region of Cloud Run, Cloud Build and the images.",
    )
    run_authority_file: str | None = Field(
        default=None,
        description="PEM file of the authority that signed the certificates of Cloud Run's addresses; unset, those that "
        "this machine trusts.",
    )
    rollout_bake_seconds: float | None = Field(
        default=None,
        gt=0,
        description="So long each stage of a rollout is watched; unset, what the specification says.",
    )
    meter_step_seconds: float | None = Field(
        default=None,
        ge=1,
        description="The shortest stretch that Monitoring counts requests by; unset, 60 at Google's, 1 at the emulator's.",
    )
    meter_late_seconds: float | None = Field(
        default=None,
        ge=0,
        description="How old Monitoring's numbers have to be to count as complete; unset, 120 at Google's, 0 at the emulator's.",
    )

    local_max_instances: int = Field(
        default=4,
        ge=1,
        description="Instances of one revision that `convergence up` runs at most on this machine, also where the "
        "specification asks for more.",
    )

    # The application
    environment: Environment = Field(
        default=Environment.DEVELOPMENT, description="development, staging or production."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="DEBUG", description="Lowest severity of our own log lines; other libraries log from INFO."
    )
    api_host: str = Field(default="0.0.0.0", description="Address the API listens on.")  # noqa: S104 the guide's
    api_port: int = Field(default=8000, ge=1, le=65535, description="Port the API listens on.")

    # Security
    admin_api_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Administrators' key; unset, the secret admin-api-key-{dev,staging,prod} in Secret Manager.",
    )
    admin_key_rotation_days: int = Field(
        default=90, ge=1, le=3650, description="Days after which an administrators' key is rotated by itself."
    )
    admin_key_overlap_hours: float = Field(
        default=24,
        ge=0,
        le=720,
        description="Hours in which the administrators' key before the newest one is still accepted.",
    )
    service_account: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]+@[a-z0-9.-]+$",
        description="Whom the API runs as; unset, convergence-api-{dev,staging,prod} of GCP_PROJECT_ID.",
    )
    disable_auth: bool = Field(
        default=False, description="Accept every caller; honoured in development alone."
    )

    # Emulators on this machine, host:port; unset, Google Cloud is asked
    bigquery_emulator_host: str | None = Field(
        default=None, description="local-bigquery's URL, for example http://127.0.0.1:8002."
    )
    kms_emulator_host: str | None = Field(
        default=None, pattern=_HOST_AND_PORT, description="host:port of a KMS served without TLS."
    )
    secret_manager_emulator_host: str | None = Field(
        default=None, pattern=_HOST_AND_PORT, description="host:port of a Secret Manager served without TLS."
    )
    run_emulator_host: str | None = Field(
        default=None, pattern=_HOST_AND_PORT, description="host:port of a Cloud Run served without TLS."
    )
    build_emulator_host: str | None = Field(
        default=None, pattern=_HOST_AND_PORT, description="host:port of a Cloud Build served without TLS."
    )
    monitoring_emulator_host: str | None = Field(
        default=None, pattern=_HOST_AND_PORT, description="host:port of a Monitoring served without TLS."
    )
    logging_emulator_host: str | None = Field(
        default=None, pattern=_HOST_AND_PORT, description="host:port of a Logging served without TLS."
    )

    # Traces
    otel_exporter_otlp_endpoint: AnyHttpUrl | None = Field(
        default=None,
        description="Where OpenTelemetry's spans are sent to by OTLP over HTTP, for example http://127.0.0.1:4318; unset, "
        "nothing is traced.",
    )
    otel_sdk_disabled: bool = Field(default=False, description="Trace nothing whatever else is set.")

    # Dagster
    dagster_url: AnyHttpUrl = Field(
        default=AnyHttpUrl("http://127.0.0.1:8001"),
        description="Dagster's web server, whose GraphQL the API asks.",
    )
    run_wait_seconds: float = Field(
        default=30,
        ge=0,
        le=600,
        description="Seconds a call waits for its run unless `Prefer: wait=N` says else.",
    )

    dagster_service_account: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]+@[a-z0-9.-]+$",
        description="Whom Dagster's runs run as on Google Cloud, by which the review knows who else shall have roles; unset, "
        "they have no account of their own.",
    )
    op_outputs_bucket: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$",
        description="Bucket of Cloud Storage in which runs keep what a step hands to the next; unset, DAGSTER_HOME, which is "
        "enough where a run's next try has the same disk.",
    )

    # Requests about tenants, and BigQuery's quotas on metadata
    requests_per_run: int = Field(
        default=200, ge=1, le=10_000, description="Requests about tenants in one run, when many wait."
    )
    request_runs_at_once: int = Field(
        default=2, ge=1, le=100, description="Runs that work on waiting requests at the same time."
    )
    bigquery_calls_at_once: int = Field(
        default=4, ge=1, le=100, description="Metadata calls of BigQuery in flight in one run."
    )
    bigquery_tables_per_second: float = Field(
        default=10, gt=0, description="Tables created a second by one run; BigQuery takes 10 from one user."
    )

    # Health
    bigquery_bytes_per_day: int | None = Field(
        default=None,
        ge=1,
        description="Bytes that queries may be billed for in a day, against which health measures; unset, Google's own 200 TiB, "
        "and nothing where an emulator bills nobody.",
    )

    # Backups
    backup_retention_days: int = Field(
        default=30, ge=1, le=3650, description="Days after which a backup of tables is deleted by itself."
    )

    # Limits
    tenant_requests_per_minute: int = Field(
        default=100, ge=1, description="Requests a minute for one tenant, at most; its plan may allow fewer."
    )
    tenant_requests_per_hour: int = Field(
        default=1000, ge=1, description="Requests an hour for one tenant, at most; its plan may allow fewer."
    )
    tenant_creations_per_minute: int = Field(default=10, ge=1, description="POST /admin/tenants a minute.")
    max_body_bytes: int = Field(default=10_000_000, ge=1, description="Largest request body, in bytes.")
    rate_limit_storage_url: str = Field(
        default="memory://", description="Where limits are counted: memory:// or redis://host:port."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Origins that browsers may call from, separated by commas."
    )
    key_rotation_max_grace_seconds: int = Field(
        default=604_800,
        ge=0,
        description="Seconds that a rotated key may still work, at most.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas.",
    )
    key_index_refresh_seconds: float = Field(
        default=2, gt=0, le=60, description="Seconds between two looks at the key ledger."
    )
    key_index_max_age_seconds: float = Field(
        default=30, gt=0, description="Age in seconds past which the API answers tenants 503."
    )
    tenant_index_refresh_seconds: float = Field(
        default=5, gt=0, le=60, description="Seconds between two looks at the tenants' profiles."
    )
    tenant_index_max_age_seconds: float = Field(
        default=30, gt=0, description="Age in seconds of the tenants' states past which tenants get 503."
    )

    @field_validator("cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            try:
                ip_network(each)
            except ValueError:
                raise ValueError("each must be an address or a network, for example 10.0.0.0/8") from None
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _authentication_is_on_outside_development(self) -> Self:
        if self.disable_auth and self.environment is not Environment.DEVELOPMENT:
            raise ValueError(
                "DISABLE_AUTH=true is honoured in development alone; "
                f"remove it or set it to false for ENVIRONMENT={self.environment}."
            )
        return self

    @property
    def key_ring(self) -> str:
        """The key ring's short name, the guide's default for the environment if none is set."""
        return self.kms_keyring or f"convergence-keyring-{self.environment.short}"

    @property
    def service_account_email(self) -> str:
        """Whom the API of this environment runs as, the guide's name if none is set."""
        name = f"convergence-api-{self.environment.short}"
        return self.service_account or f"{name}@{self.gcp_project_id}.iam.gserviceaccount.com"

    @property
    def meter_step(self) -> timedelta:
        """The shortest stretch that Monitoring counts requests by."""
        own = 1.0 if self.monitoring_emulator_host else 60.0
        return timedelta(seconds=own if self.meter_step_seconds is None else self.meter_step_seconds)

    @property
    def meter_late(self) -> timedelta:
        """How old Monitoring's numbers have to be to count as complete."""
        own = 0.0 if self.monitoring_emulator_host else 120.0
        return timedelta(seconds=own if self.meter_late_seconds is None else self.meter_late_seconds)

    @property
    def query_quota(self) -> int | None:
        """Bytes that queries may be billed for in a day; None: nobody bills."""
        own = None if self.bigquery_emulator_host else 200 * 2**40
        return own if self.bigquery_bytes_per_day is None else self.bigquery_bytes_per_day

    @property
    def log_look_seconds(self) -> float:
        """The pause between two looks at the log that is followed; Google takes 60 reads a minute from a project."""
        return 0.5 if self.logging_emulator_host else 2.0

    @property
    def crypto_key_name(self) -> str:
        """Full resource name of the key that seals tenants' keys."""
        project = self.kms_project_id or self.gcp_project_id
        return f"projects/{project}/locations/{self.kms_location}/keyRings/{self.key_ring}/cryptoKeys/{self.kms_key}"

    @property
    def admin_secret_id(self) -> str:
        """Name of the administrators' key in Secret Manager, as in the guide: `admin-api-key-{dev,staging,prod}`."""
        return f"admin-api-key-{self.environment.short}"

    def of(self, environment: Environment) -> "Settings":
        """These settings for another environment of the same project.

        The key ring, the service account and the key that are named are this environment's: the other has the guide's.
        """
        if environment is self.environment:
            return self
        own = {
            "kms_keyring": None,
            "service_account": None,
            "dagster_service_account": None,
            "admin_api_key": None,
            "disable_auth": False,
        }
        return self.model_copy(update={"environment": environment, **own})

    @property
    def dagster_base_url(self) -> str:
        """Dagster's address without a slash at its end."""
        return str(self.dagster_url).rstrip("/")


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment and `.env`, with `overrides` (by field name) on top.

    Raises:
        PermanentError: INVALID_SETTINGS, whose message has one sentence for each wrong variable and no value of any.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise PermanentError(ErrorCode.INVALID_SETTINGS, "\n".join(_sentences(error))) from None


def _sentences(error: ValidationError) -> list[str]:
    return [
        _sentence(str(item["loc"][0]).upper() if item["loc"] else None, item["msg"])
        for item in error.errors()
    ]


def _sentence(variable: str | None, message: str) -> str:
    text = message.removeprefix("Value error, ")
    if variable is None:
        return text
    field = Settings.model_fields.get(variable.lower())
    meaning = f" It is: {field.description}" if field and field.description else ""
    return f"{variable} is wrong: {text[:1].lower()}{text[1:]}.{meaning}"
