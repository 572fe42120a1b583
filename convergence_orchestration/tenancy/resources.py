"""What tenancy's jobs and sensors need besides BigQuery's client, as Dagster resources.

What belongs here: the log of requests, and the bounds that the settings set. No field is secret.
"""

from typing import Any

import dagster as dg
from pydantic import Field

from convergence_orchestration.gcp.resources import BigQueryConnection
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.launches import Bounds
from convergence_orchestration.tenancy.provisioning import Limits
from convergence_orchestration.tenancy.requests import TenantRequests


class TenantRequestsApi(dg.ConfigurableResource["TenantRequestsApi"]):
    """The log of requests for tenants, which the API appends to and runs carry out, and the bounds of those runs."""

    requests_per_run: int = Field(description="At most so many waiting requests go in one run.")
    runs_at_once: int = Field(description="At most so many runs work on waiting requests at once.")
    calls_at_once: int = Field(description="Metadata calls of BigQuery in flight in one run.")
    tables_per_second: float = Field(
        description="Tables created a second by one run; BigQuery takes 10 from one user."
    )

    def requests(self, bigquery: BigQueryConnection) -> TenantRequests:
        """The log in this BigQuery."""
        return TenantRequests(bigquery.bigquery())

    @property
    def bounds(self) -> Bounds:
        """How waiting requests are folded into runs."""
        return Bounds(self.requests_per_run, self.runs_at_once)

    @property
    def limits(self) -> Limits:
        """What BigQuery's quotas on metadata allow a run."""
        return Limits(self.calls_at_once, self.tables_per_second)


def tenancy_resources(settings: Settings) -> dict[str, dg.ConfigurableResource[Any]]:
    """The resource `tenant_requests` for these settings."""
    return {
        "tenant_requests": TenantRequestsApi(
            requests_per_run=settings.requests_per_run,
            runs_at_once=settings.request_runs_at_once,
            calls_at_once=settings.bigquery_calls_at_once,
            tables_per_second=settings.bigquery_tables_per_second,
        )
    }
