"""What the jobs of releases need of Google, as a Dagster resource.

What belongs here: names and addresses, none of them secret, and opening the site of one environment.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from convergence_orchestration.audit.model import AuditSink
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.resources import BigQueryConnection
from convergence_orchestration.releases.specification import (
    ServiceSpecification,
    parse_specification,
    specification_of,
)
from convergence_orchestration.settings import Environment, Settings, load_settings

if TYPE_CHECKING:
    from convergence_orchestration.gcp.bigquery import BigQuery
    from convergence_orchestration.releases.site import Site
    from convergence_orchestration.releases.traffic.scene import Scene

_FIELDS = (
    "gcp_project_id",
    "bigquery_location",
    "google_application_credentials",
    "kms_project_id",
    "kms_location",
    "kms_keyring",
    "kms_key",
    "run_region",
    "run_authority_file",
    "environment",
    "service_account",
    "run_emulator_host",
    "build_emulator_host",
    "monitoring_emulator_host",
    "rollout_bake_seconds",
    "meter_step_seconds",
    "meter_late_seconds",
)


class Releases(dg.ConfigurableResource["Releases"]):
    """Where releases of each environment go; the clients are made when they are wanted."""

    own: str = Field(description="The environment of this code location.")
    variables: dict[str, str] = Field(
        description="The settings that say where Cloud Run is and what the API is told."
    )
    specifications: dict[str, str] = Field(
        default_factory=dict,
        description="Specifications by environment, as YAML, that stand for those of releases/specifications.",
    )

    def environment(self, asked: str) -> Environment:
        """The environment that is asked for; "" is this code location's own.

        Raises:
            PermanentError: INVALID_ARGUMENT.
        """
        name = asked or self.own
        if name not in Environment:
            raise PermanentError(
                ErrorCode.INVALID_ARGUMENT,
                f"Name an environment, one of {', '.join(Environment)}.",
                {"field": "environment"},
            )
        return Environment(name)

    def specification(self, environment: Environment) -> ServiceSpecification:
        """What Cloud Run shall serve there.

        Raises:
            PermanentError: INVALID_SETTINGS.
        """
        given = self.specifications.get(environment.value)
        if given is None:
            return specification_of(environment)
        return parse_specification(given, f"the specification of {environment}")

    def settings(self, environment: Environment) -> Settings:
        """The settings of one environment, with no administrators' key in them."""
        optional = {name: None for name in _FIELDS if Settings.model_fields[name].default is None}
        own = load_settings(**{**optional, **self.variables}, admin_api_key=None, disable_auth=False)
        return own.of(environment)

    @contextmanager
    def scene(self, environment: Environment, bigquery: BigQueryConnection) -> Iterator["Scene"]:
        """What a rollout in one environment reads and acts upon, closed at the end."""
        from convergence_orchestration.releases.traffic.opening import opened_scene  # noqa: PLC0415 as below

        specification = self.specification(environment)
        with opened_scene(self.settings(environment), specification, bigquery.bigquery()) as scene:
            yield scene

    @contextmanager
    def opened(
        self, environment: Environment, bigquery: BigQueryConnection, audit: AuditSink
    ) -> Iterator["Site"]:
        """The site of one environment, closed at the end."""
        from convergence_orchestration.releases.site import opened  # noqa: PLC0415 see gcp/clients.py

        specification = self.specification(environment)
        with opened(self.settings(environment), specification, bigquery.bigquery(), audit) as site:
            yield site


def release_resources(
    settings: Settings, last_backup: "Callable[[BigQuery, datetime], datetime | None] | None" = None
) -> dict[str, Any]:
    """The resources `releases` for these settings and `last_backup`, which finds when the last backup was taken."""
    values = {name: getattr(settings, name) for name in _FIELDS}
    return {
        "releases": Releases(
            own=settings.environment.value,
            variables={name: str(value) for name, value in values.items() if value is not None},
        ),
        "last_backup": dg.ResourceDefinition.hardcoded_resource(
            last_backup or _last_backup, description="When the last complete backup was taken."
        ),
    }


def _last_backup(bigquery: "BigQuery", now: datetime) -> datetime | None:
    from convergence_orchestration.warehouse.backups.listing import last_backup  # noqa: PLC0415 see gcp/clients.py

    return last_backup(bigquery, now)
