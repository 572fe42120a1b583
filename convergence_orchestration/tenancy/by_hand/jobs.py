"""The forms: `onboard_tenant`, `change_tenant_plan`, `suspend_tenant`, `resume_tenant`, `offboard_tenant`.

What belongs here: what the launchpad asks for. Carrying out is the same as for every other request, `tenancy/jobs.py`.
"""

import dagster as dg
from pydantic import Field

from convergence_orchestration.gcp.resources import BigQueryConnection
from convergence_orchestration.tenancy.asked import (
    DEFAULT_RETENTION_DAYS,
    MAX_REASON_LENGTH,
    PRINCIPAL_FORM,
    Asked,
    parse_new_tenant,
    parse_offboarding,
    parse_plan_change,
    parse_resumption,
    parse_suspension,
)
from convergence_orchestration.tenancy.changes import KeyRevoker
from convergence_orchestration.tenancy.jobs import RETRIES, fulfil_by_hand
from convergence_orchestration.tenancy.model import (
    MAX_COMPANY_NAME_LENGTH,
    MAX_DESCRIPTION_LENGTH,
    TENANT_ID_PATTERN,
    Plan,
)
from convergence_orchestration.tenancy.resources import TenantRequestsApi

_TENANT = f"The tenant's id, for example `acmecorp`. Pattern {TENANT_ID_PATTERN}."
_REASON = f"Why, for whoever looks at the tenant later; at most {MAX_REASON_LENGTH} characters."


class OnboardConfig(dg.Config):
    """What the launchpad asks for."""

    tenant_id: str = Field(
        description=f"The new tenant's id, for example `acmecorp`. Pattern {TENANT_ID_PATTERN}, not a reserved word."
    )
    description: str = Field(
        default="",
        description=f"What the tenant is, for people; at most {MAX_DESCRIPTION_LENGTH} characters.",
    )
    company_name: str = Field(
        default="",
        description=f"For example `Acme Corporation`; at most {MAX_COMPANY_NAME_LENGTH} characters.",
    )
    admin_email: str = Field(
        default="", description="Whom to write to, for example `ops@acme.example`; may be empty."
    )
    plan: str = Field(
        default=str(Plan.STARTER),
        description=f"One of {', '.join(Plan)}: runs a day and at once, API limits.",
    )
    principal: str = Field(
        default="",
        description=f"Who may read and write the tenant's dataset in BigQuery itself: {PRINCIPAL_FORM}; may be empty.",
    )

    def asked(self) -> Asked:
        """The checked request."""
        return parse_new_tenant(**self.model_dump())


class ChangePlanConfig(dg.Config):
    """What the launchpad asks for."""

    tenant_id: str = Field(description=_TENANT)
    plan: str = Field(description=f"One of {', '.join(Plan)}.")

    def asked(self) -> Asked:
        """The checked request."""
        return parse_plan_change(**self.model_dump())


class SuspendConfig(dg.Config):
    """What the launchpad asks for."""

    tenant_id: str = Field(description=_TENANT)
    reason: str = Field(default="", description=_REASON)

    def asked(self) -> Asked:
        """The checked request."""
        return parse_suspension(**self.model_dump())


class ResumeConfig(dg.Config):
    """What the launchpad asks for."""

    tenant_id: str = Field(description=_TENANT)
    reason: str = Field(default="", description=_REASON)

    def asked(self) -> Asked:
        """The checked request."""
        return parse_resumption(**self.model_dump())


class OffboardConfig(dg.Config):
    """What the launchpad asks for."""

    tenant_id: str = Field(description=_TENANT)
    confirm: str = Field(
        description="The tenant's id once more: this ends in the deletion of all of its data."
    )
    reason: str = Field(default="", description=_REASON)
    take_snapshot: bool = Field(
        default=False,
        description="Copy every table to the dataset `tenants_archive` first, kept for 30 days after the deletion.",
    )
    retention_days: int = Field(
        default=DEFAULT_RETENTION_DAYS,
        description="Days until the dataset is deleted; until then the tenant can be resumed.",
    )

    def asked(self) -> Asked:
        """The checked request."""
        return parse_offboarding(**self.model_dump())


@dg.op(
    description="Claims the tenant id, creates dataset and tables, writes subscription, quota and profile, and "
    "adds the tenant's partition.",
    retry_policy=RETRIES,
)
def onboard(
    context: dg.OpExecutionContext,
    config: OnboardConfig,
    bigquery: BigQueryConnection,
    tenant_requests: TenantRequestsApi,
    revoke_keys: dg.ResourceParam[KeyRevoker],
) -> None:
    """One request to make a tenant."""
    fulfil_by_hand(context, config.asked, bigquery, tenant_requests, revoke_keys)


@dg.job(
    description="Makes a tenant: its dataset with all tables, its plan, its profile. Start it with a tenant_id; "
    "re-execute a run that failed to finish what was begun.",
)
def onboard_tenant() -> None:
    """The one op, so that it can be launched by name."""
    onboard()


@dg.op(
    description="Writes the plan into the tenant's profile, subscription and quota.",
    retry_policy=RETRIES,
)
def change_plan(
    context: dg.OpExecutionContext,
    config: ChangePlanConfig,
    bigquery: BigQueryConnection,
    tenant_requests: TenantRequestsApi,
    revoke_keys: dg.ResourceParam[KeyRevoker],
) -> None:
    """One request for another plan."""
    fulfil_by_hand(context, config.asked, bigquery, tenant_requests, revoke_keys)


@dg.job(
    description="Gives a tenant another plan; its limits count from the next call on.",
)
def change_tenant_plan() -> None:
    """The one op, so that it can be launched by name."""
    change_plan()


@dg.op(
    description="Writes the state SUSPENDED into the tenant's profile, which every API process follows.",
    retry_policy=RETRIES,
)
def suspend(
    context: dg.OpExecutionContext,
    config: SuspendConfig,
    bigquery: BigQueryConnection,
    tenant_requests: TenantRequestsApi,
    revoke_keys: dg.ResourceParam[KeyRevoker],
) -> None:
    """One request to suspend."""
    fulfil_by_hand(context, config.asked, bigquery, tenant_requests, revoke_keys)


@dg.job(
    description="Refuses all calls of a tenant within seconds, until it is resumed. Nothing of it is deleted.",
)
def suspend_tenant() -> None:
    """The one op, so that it can be launched by name."""
    suspend()


@dg.op(
    description="Writes the state ACTIVE into the tenant's profile, which every API process follows.",
    retry_policy=RETRIES,
)
def resume(
    context: dg.OpExecutionContext,
    config: ResumeConfig,
    bigquery: BigQueryConnection,
    tenant_requests: TenantRequestsApi,
    revoke_keys: dg.ResourceParam[KeyRevoker],
) -> None:
    """One request to resume."""
    fulfil_by_hand(context, config.asked, bigquery, tenant_requests, revoke_keys)


@dg.job(
    description="Makes a suspended tenant ACTIVE again, or one that is being offboarded and not deleted yet. Keys "
    "that the offboarding revoked stay revoked.",
)
def resume_tenant() -> None:
    """The one op, so that it can be launched by name."""
    resume()


@dg.op(
    description="Writes the state OFFBOARDING and the date of deletion, revokes all keys, and takes the snapshots "
    "that were asked for.",
    retry_policy=RETRIES,
)
def offboard(
    context: dg.OpExecutionContext,
    config: OffboardConfig,
    bigquery: BigQueryConnection,
    tenant_requests: TenantRequestsApi,
    revoke_keys: dg.ResourceParam[KeyRevoker],
) -> None:
    """One request to offboard."""
    fulfil_by_hand(context, config.asked, bigquery, tenant_requests, revoke_keys)


@dg.job(
    description="Suspends a tenant for good, revokes its keys, and has its dataset deleted when the retention "
    "period is over. Its id is never given again.",
)
def offboard_tenant() -> None:
    """The one op, so that it can be launched by name."""
    offboard()


def tenancy_forms() -> list[dg.JobDefinition]:
    """The jobs of this package."""
    return [onboard_tenant, change_tenant_plan, suspend_tenant, resume_tenant, offboard_tenant]
