"""What alerts need of this code location, as a Dagster resource, and what Dagster itself knows.

What belongs here: names, none of them secret, opening what an evaluation reads, and asking Dagster's instance for failed runs.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from convergence_orchestration.environment.resources import Environments
from convergence_orchestration.gcp.resources import BigQueryConnection
from convergence_orchestration.health.alerting.rules import RuleBook, parse_rules, rule_book
from convergence_orchestration.health.resources import settings_of
from convergence_orchestration.releases.resources import Releases
from convergence_orchestration.settings import Environment, Settings

if TYPE_CHECKING:
    from convergence_orchestration.health.alerting.sources.runs import FailedRun
    from convergence_orchestration.health.alerting.watching import KnownChannels, Watch

_WILL_RETRY = "dagster/will_retry"


class Alerts(dg.ConfigurableResource["Alerts"]):
    """The rules, and where alerts of this code location's environment are evaluated; clients are made when they are wanted."""

    own: str = Field(description="The environment of this code location.")
    rules: str = Field(
        default="", description="Rules as YAML that stand for those of health/alerting/rules.yaml."
    )

    def book(self) -> RuleBook:
        """The rules.

        Raises:
            PermanentError: INVALID_SETTINGS.
        """
        return parse_rules(self.rules, "the rules of the resource `alerts`") if self.rules else rule_book()

    def settings(self, environments: Environments, releases: Releases) -> Settings:
        """Those of this code location's environment, with when its keys are rotated."""
        own = settings_of(environments, releases, Environment(self.own))
        days = environments.settings(self.own).admin_key_rotation_days
        return own.model_copy(update={"admin_key_rotation_days": days})

    @contextmanager
    def channels(self, settings: Settings) -> Iterator["KnownChannels"]:
        """Who is told, closed at the end."""
        from convergence_orchestration.health.alerting.opening import opened_channels  # noqa: PLC0415 see gcp/clients.py

        with opened_channels(settings) as channels:
            yield channels

    @contextmanager
    def watch(
        self,
        settings: Settings,
        channels: "KnownChannels",
        releases: Releases,
        bigquery: BigQueryConnection,
        failed: "Sequence[FailedRun]",
        run_id: str | None = None,
    ) -> Iterator["Watch"]:
        """What an evaluation reads and writes, closed at the end.

        Raises:
            PermanentError: INVALID_SETTINGS: the rules are wrong, and nothing is evaluated.
        """
        from convergence_orchestration.health.alerting.opening import (  # noqa: PLC0415 see gcp/clients.py
            Scope,
            opened_watch,
        )

        service = releases.specification(settings.environment).service
        scope = Scope(settings, service, self.book(), failed, run_id)
        with opened_watch(scope, bigquery.bigquery(), channels) as watch:
            yield watch


def alert_resources(settings: Settings) -> dict[str, Any]:
    """The resource `alerts` for these settings."""
    return {"alerts": Alerts(own=settings.environment.value)}


def failed_runs(instance: dg.DagsterInstance, now: datetime) -> "list[FailedRun]":
    """The runs that failed of late and that Dagster does not try again."""
    from convergence_orchestration.health.alerting.sources.runs import KEPT, FailedRun  # noqa: PLC0415 see gcp/clients.py

    recent = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=now - KEPT)
    return [
        FailedRun(
            record.dagster_run.run_id, record.dagster_run.job_name, record.update_timestamp.astimezone(UTC)
        )
        for record in instance.get_run_records(recent)
        if record.dagster_run.tags.get(_WILL_RETRY) != "true"
    ]
