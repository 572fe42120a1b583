"""The environments that this code location prepares, as a Dagster resource.

What belongs here: names and addresses, none of them secret, and opening the services of one environment.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from convergence_orchestration.settings import Environment, Settings, load_settings

if TYPE_CHECKING:
    from convergence_orchestration.environment.cloud import Cloud

_FIELDS = (
    "gcp_project_id",
    "google_application_credentials",
    "kms_project_id",
    "kms_location",
    "kms_keyring",
    "kms_key",
    "kms_rotation_days",
    "environment",
    "admin_key_rotation_days",
    "admin_key_overlap_hours",
    "service_account",
    "kms_emulator_host",
    "secret_manager_emulator_host",
    "bigquery_location",
    "bigquery_emulator_host",
    "run_region",
    "run_emulator_host",
)


class Environments(dg.ConfigurableResource["Environments"]):
    """The three environments as the settings declare them; their clients are made when they are wanted."""

    own: str = Field(description="The environment of this code location.")
    variables: dict[str, str] = Field(
        description="The settings that say how environments are called and declared."
    )

    def settings(self, environment: str) -> Settings:
        """The settings of one environment, with no administrators' key in them."""
        fields: dict[str, object] = dict.fromkeys(_FIELDS)
        given = {**{name: value for name, value in fields.items() if _is_optional(name)}, **self.variables}
        own = load_settings(**given, admin_api_key=None, disable_auth=False)
        return own.of(Environment(environment))

    @contextmanager
    def opened(self, environment: str) -> Iterator["Cloud"]:
        """The services of one environment, closed at the end."""
        from convergence_orchestration.environment.cloud import opened  # noqa: PLC0415 see gcp/clients.py

        with opened(self.settings(environment)) as cloud:
            yield cloud


def environment_resources(settings: Settings) -> dict[str, dg.ConfigurableResource[Any]]:
    """The resource `environments` for these settings."""
    values = {name: getattr(settings, name) for name in _FIELDS}
    return {
        "environments": Environments(
            own=settings.environment.value,
            variables={name: str(value) for name, value in values.items() if value is not None},
        )
    }


def _is_optional(name: str) -> bool:
    """What is unset here is unset there too, whatever the variables of the process say."""
    return Settings.model_fields[name].default is None
