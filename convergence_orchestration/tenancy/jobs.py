"""The jobs of tenancy as Dagster runs them: `onboard_tenant`.

What belongs here: config, and reporting to Dagster. What is done is `onboarding.py` and `provisioning.py`.
"""

from datetime import UTC, datetime

import dagster as dg
from pydantic import Field

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.tenancy.assets import asset_key, table_metadata, tenants_partitions
from convergence_orchestration.tenancy.model import (
    MAX_COMPANY_NAME_LENGTH,
    MAX_DESCRIPTION_LENGTH,
    TENANT_ID_PATTERN,
    NewTenant,
    Plan,
    RequestId,
    parse_new_tenant,
    parse_request_id,
    request_id_of_run,
)
from convergence_orchestration.tenancy.onboarding import Onboarding
from convergence_orchestration.tenancy.provisioning import Provisioned
from convergence_orchestration.warehouse.catalogue import tenant_tables

ACTOR_TAG = "convergence/actor"
_BY_HAND = "dagster-ui"
_RETRIES = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL)


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
    request_id: str = Field(
        default="",
        description="Leave it empty: it is made from the run, so that a re-execution continues the same request. "
        "Give one (`req_...`) to finish an earlier request.",
    )


@dg.op(
    description="Claims the tenant id, creates dataset and tables, writes subscription, quota and profile, and adds the "
    "tenant's partition. Any number of repetitions give one tenant.",
    retry_policy=_RETRIES,
)
def onboard(context: dg.OpExecutionContext, config: OnboardConfig, bigquery: BigQueryConnection) -> None:
    """One attempt at one request."""
    with reported_failures():
        onboarding = _onboarding(context, config, bigquery.bigquery())
        with onboarding.recorded() as provisioned:
            _report(context, onboarding, provisioned())


@dg.job(
    name="onboard_tenant",
    description="Makes a tenant: its dataset with all tables, its plan, its profile. Start it with a tenant_id; start it "
    "again, or re-execute a failed run, to finish what was begun.",
    executor_def=dg.in_process_executor,
)
def onboard_tenant() -> None:
    """The one op, so that it can be launched by name."""
    onboard()


def tenancy_jobs() -> list[dg.JobDefinition]:
    """The jobs of this domain."""
    return [onboard_tenant]


def _onboarding(context: dg.OpExecutionContext, config: OnboardConfig, bigquery: BigQuery) -> Onboarding:
    return Onboarding(
        bigquery=bigquery,
        request_id=_request_id(context, config),
        asked=_asked(config),
        run_id=context.run_id,
        actor=context.run.tags.get(ACTOR_TAG, _BY_HAND),
        is_last_try=context.retry_number >= _RETRIES.max_retries,
        clock=_now,
    )


def _asked(config: OnboardConfig) -> NewTenant:
    return parse_new_tenant(
        tenant_id=config.tenant_id,
        description=config.description,
        company_name=config.company_name,
        admin_email=config.admin_email,
        plan=config.plan,
    )


def _request_id(context: dg.OpExecutionContext, config: OnboardConfig) -> RequestId:
    if config.request_id:
        return parse_request_id(config.request_id)
    return request_id_of_run(context.run.root_run_id or context.run_id)


def _report(context: dg.OpExecutionContext, onboarding: Onboarding, provisioned: Provisioned) -> None:
    """Show the tenant to Dagster: its partition, then a materialization of each of its tables."""
    tenant_id = provisioned.tenant.tenant_id
    context.instance.add_dynamic_partitions(str(tenants_partitions.name), [tenant_id])
    for spec in tenant_tables():
        created = provisioned.tables[spec.name]
        metadata = {
            **table_metadata(onboarding.bigquery, tenant_id, spec, created=created),
            "dataset_created": dg.MetadataValue.bool(provisioned.dataset_created),
            "request_id": dg.MetadataValue.text(onboarding.request_id),
        }
        context.log_event(
            dg.AssetMaterialization(asset_key=asset_key(spec.name), partition=tenant_id, metadata=metadata)
        )
    context.log.info("Tenant %s is %s (%s).", tenant_id, provisioned.tenant.state, onboarding.request_id)


def _now() -> datetime:
    return datetime.now(UTC)
