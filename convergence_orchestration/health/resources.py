"""What is looked at, as a Dagster resource: this code location's environments and their limits.

What belongs here: names and numbers, none of them secret, and opening what is looked at.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from convergence_orchestration.environment.resources import Environments
from convergence_orchestration.releases.resources import Releases
from convergence_orchestration.settings import Environment, Settings

if TYPE_CHECKING:
    from convergence_orchestration.health.probes.places import Place


class Health(dg.ConfigurableResource["Health"]):
    """What the probes are told."""

    own: str = Field(description="The environment of this code location.")
    query_quota: int | None = Field(
        default=None, description="Bytes that queries may be billed for in a day; unset, nobody bills them."
    )

    @contextmanager
    def places(self, environments: Environments, releases: Releases) -> "Iterator[list[Place]]":
        """Every environment, this code location's own first, opened and closed."""
        from convergence_orchestration.health.opening import Looked, opened_places  # noqa: PLC0415 see gcp/clients.py

        names = sorted(Environment, key=lambda one: one.value != self.own)
        wanted = [
            Looked(settings_of(environments, releases, name), releases.specification(name).service)
            for name in names
        ]
        with opened_places(wanted, self.own) as places:
            yield places


def health_resources(settings: Settings) -> dict[str, Any]:
    """The resource `health` for these settings."""
    return {"health": Health(own=settings.environment.value, query_quota=settings.query_quota)}


def settings_of(environments: Environments, releases: Releases, environment: Environment) -> Settings:
    """The settings of one environment: those of releases, with the services of keys where the environments have them."""
    keys = environments.settings(environment)
    return releases.settings(environment).model_copy(
        update={
            "kms_emulator_host": keys.kms_emulator_host,
            "secret_manager_emulator_host": keys.secret_manager_emulator_host,
        }
    )
