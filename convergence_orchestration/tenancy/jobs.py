"""The jobs that carry out requests about tenants: `fulfil_tenant_requests`, and `delete_expired_tenants` on a schedule.

What belongs here: reporting to Dagster, for every job that carries out requests. What is done is `fulfilment.py`,
`provisioning.py` and `changes.py`; the forms that people fill in are `by_hand/jobs.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
from pydantic import Field

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.tenancy.asked import Asked, Deletion, kind_of
from convergence_orchestration.tenancy.assets import asset_key, table_metadata, tenants_partitions
from convergence_orchestration.tenancy.changes import Changes, KeyRevoker
from convergence_orchestration.tenancy.fulfilment import Done, Fulfilment, Summary
from convergence_orchestration.tenancy.launches import FULFIL_JOB, FULFIL_OP
from convergence_orchestration.tenancy.model import Tenant, TenantState
from convergence_orchestration.tenancy.provisioning import Provisioned
from convergence_orchestration.tenancy.registry import Tenants
from convergence_orchestration.tenancy.request_history import next_attempt
from convergence_orchestration.tenancy.request_model import (
    RequestEvent,
    RequestId,
    RequestState,
    TenantRequest,
    parse_request_id,
    request_id_of_deletion,
    request_id_of_run,
)
from convergence_orchestration.tenancy.requests import TenantRequests
from convergence_orchestration.tenancy.resources import TenantRequestsApi
from convergence_orchestration.warehouse.bootstrap import needs_bootstrap
from convergence_orchestration.warehouse.catalogue import tenant_tables

ACTOR_TAG = "convergence/actor"
TENANT_TAG = "convergence/tenant_id"
RETRIES = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL)
IN_PROGRESS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_PARTITIONS = str(tenants_partitions.name)
_BY_HAND = "dagster-ui"
_RETENTION = "retention"
_DELETED_AT_A_TIME = 50
_MOST_SHOWN = 100
_SHOWN_ONE_BY_ONE = 20


class FulfilConfig(dg.Config):
    """What the launchpad asks for."""

    request_ids: list[str] = Field(
        description="Requests (`req_...`) that the API or a form wrote down; those that are done stay as they are."
    )


@dg.op(
    name=FULFIL_OP,
    description="Carries out requests about tenants, however many; any number of repetitions do each once.",
    retry_policy=RETRIES,
)
def fulfil(
    context: dg.OpExecutionContext,
    config: FulfilConfig,
    bigquery: BigQueryConnection,
    tenant_requests: TenantRequestsApi,
    revoke_keys: dg.ResourceParam[KeyRevoker],
) -> None:
    """One try at some requests."""
    with reported_failures(), needs_bootstrap():
        request_ids = [parse_request_id(text) for text in config.request_ids]
        _fulfil(context, bigquery.bigquery(), tenant_requests, revoke_keys, request_ids)


@dg.job(
    name=FULFIL_JOB,
    description="Carries out requests that were written down before. The API launches it, and the sensor "
    "`tenant_request_sensor` for whatever has no run that lives; start it by hand with request ids to hurry.",
    executor_def=dg.in_process_executor,  # not audited: whoever wrote a request down was, and it decides nothing itself
)
def fulfil_tenant_requests() -> None:
    """The one op, so that it can be launched by name."""
    fulfil()


@dg.op(description="Deletes the datasets of tenants whose retention period is over.", retry_policy=RETRIES)
def delete_expired(
    context: dg.OpExecutionContext,
    bigquery: BigQueryConnection,
    tenant_requests: TenantRequestsApi,
    revoke_keys: dg.ResourceParam[KeyRevoker],
) -> None:
    """One try at what is due."""
    with reported_failures(), needs_bootstrap():
        warehouse = bigquery.bigquery()
        due = _written_down_deletions(warehouse, _now())
        context.log.info("%d tenants are due for deletion.", len(due))
        _fulfil(context, warehouse, tenant_requests, revoke_keys, due)


@dg.job(
    description="Deletes what offboarded tenants have left when their retention period is over; a schedule runs it "
    "each hour.",
)
def delete_expired_tenants() -> None:
    """The one op, so that it can be launched by name."""
    delete_expired()


def tenancy_jobs() -> list[dg.JobDefinition]:
    """The jobs of this module."""
    return [fulfil_tenant_requests, delete_expired_tenants]


def fulfil_by_hand(
    context: dg.OpExecutionContext,
    asked: Callable[[], Asked],
    bigquery: BigQueryConnection,
    tenant_requests: TenantRequestsApi,
    revoke_keys: KeyRevoker,
) -> None:
    """Write down what a form asks for, as this run's request, and carry it out."""
    with reported_failures(), needs_bootstrap():
        warehouse = bigquery.bigquery()
        request_id = _written_down(context, warehouse, asked())
        _fulfil(context, warehouse, tenant_requests, revoke_keys, [request_id])


def _written_down(context: dg.OpExecutionContext, bigquery: BigQuery, asked: Asked) -> RequestId:
    """The request that this run stands for; a re-execution stands for the same one."""
    requests = TenantRequests(bigquery)
    request_id = request_id_of_run(context.run.root_run_id or context.run_id)
    known = requests.get(request_id)
    if known is not None and known.tenant_id != asked.tenant_id:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Launch a new run for {asked.tenant_id}: a re-execution continues its request, which is for {known.tenant_id}.",
            {"request_id": request_id, "tenant_id": known.tenant_id},
        )
    if known is None or known.parameters != asked:
        attempt = next_attempt(known, asks_otherwise=True)
        requests.append(_requested(request_id, asked, _actor(context), attempt))
    return request_id


def _written_down_deletions(bigquery: BigQuery, now: datetime) -> list[RequestId]:
    """A request to delete for each tenant that is due, the same one each time."""
    due = Tenants(bigquery).due_for_deletion(now, _DELETED_AT_A_TIME)
    asked = {_deletion_id(tenant): Deletion(tenant.tenant_id) for tenant in due}
    if asked:
        TenantRequests(bigquery).append(
            *(_requested(request_id, deletion, _RETENTION) for request_id, deletion in asked.items())
        )
    return list(asked)


def _deletion_id(tenant: Tenant) -> RequestId:
    return request_id_of_deletion(RequestId(tenant.state_changed_by or tenant.request_id))


def _requested(request_id: RequestId, asked: Asked, actor: str, attempt: int = 1) -> RequestEvent:
    return RequestEvent(
        request_id=request_id,
        tenant_id=asked.tenant_id,
        kind=kind_of(asked),
        state=RequestState.REQUESTED,
        recorded_at=_now(),
        actor=actor,
        attempt=attempt,
        parameters=asked,
    )


def _fulfil(
    context: dg.OpExecutionContext,
    bigquery: BigQuery,
    tenant_requests: TenantRequestsApi,
    revoke_keys: KeyRevoker,
    request_ids: Sequence[RequestId],
) -> None:
    """Carry out the requests and show what became of them; fails if every one failed."""
    one_by_one = len(request_ids) <= _SHOWN_ONE_BY_ONE
    witness = _DagsterWitness(context, bigquery, one_by_one)
    fulfilment = Fulfilment(
        bigquery=bigquery,
        changes=Changes(bigquery, revoke_keys, context.run_id),
        limits=tenant_requests.limits,
        witness=witness,
        run_id=context.run_id,
        actor=_actor(context),
        is_last_try=context.retry_number >= RETRIES.max_retries,
        clock=_now,
    )
    summary = fulfilment.fulfil(request_ids)
    if error := summary.error():
        raise error
    for request, failure in summary.failed[:_MOST_SHOWN]:
        context.log.error("%s of %s failed: %s", request.kind, request.tenant_id, failure.message)
    made = [each.result for each in summary.done if isinstance(each.result, Provisioned)]
    if made and not one_by_one:
        witness.show_many(made)
    context.add_output_metadata(_shown(summary))


@dataclass(frozen=True)
class _DagsterWitness:
    """Shows tenants in Dagster: their partitions, and a materialization of each of their tables.

    Each event that Dagster stores costs some 10 ms, so where many tenants are made only their partitions are added one by
    one; `show_many` tells of their tables together.
    """

    context: dg.OpExecutionContext
    bigquery: BigQuery
    one_by_one: bool

    def saw(self, done: Sequence[Done]) -> None:
        made = [(each.request, each.result) for each in done if isinstance(each.result, Provisioned)]
        if made:
            self.context.instance.add_dynamic_partitions(
                _PARTITIONS, [request.tenant_id for request, _ in made]
            )
        for each in done:
            if each.result.tenant.state is TenantState.DELETED:
                self.context.instance.delete_dynamic_partition(_PARTITIONS, each.request.tenant_id)
        if self.one_by_one:
            for request, provisioned in made:
                self._show(request, provisioned)
            for each in done:
                self.context.log.info(_told(each))
        else:
            self.context.log.info("%s", "\n".join(map(_told, done)))

    def before_deletion(self, request: TenantRequest) -> None:
        for tag in ("dagster/partition", TENANT_TAG):
            wanted = dg.RunsFilter(statuses=IN_PROGRESS, tags={tag: request.tenant_id})
            others = [
                run.run_id
                for run in self.context.instance.get_runs(wanted, limit=2)
                if run.run_id != self.context.run_id
            ]
            if others:
                raise TransientError(
                    ErrorCode.UNAVAILABLE,
                    f"Wait for run {others[0]}, or cancel it: it works on {request.tenant_id}, which is to be deleted.",
                )

    def show_many(self, made: Sequence[Provisioned]) -> None:
        """One materialization of each table for all tenants of this run."""
        for spec in tenant_tables():
            created = sum(provisioned.tables[spec.name] for provisioned in made)
            self.context.log_event(
                dg.AssetMaterialization(
                    asset_key=asset_key(spec.name),
                    description=f"{len(made)} tenants in one run; their partitions say nothing about their tables.",
                    metadata={
                        "tenants": dg.MetadataValue.int(len(made)),
                        "created": dg.MetadataValue.int(created),
                        "existed": dg.MetadataValue.int(len(made) - created),
                    },
                )
            )

    def _show(self, request: TenantRequest, provisioned: Provisioned) -> None:
        for spec in tenant_tables():
            created = provisioned.tables[spec.name]
            metadata = {
                **table_metadata(self.bigquery, request.tenant_id, spec, created=created),
                "dataset_created": dg.MetadataValue.bool(provisioned.dataset_created),
                "request_id": dg.MetadataValue.text(request.request_id),
            }
            self.context.log_event(
                dg.AssetMaterialization(
                    asset_key=asset_key(spec.name), partition=request.tenant_id, metadata=metadata
                )
            )


def _told(done: Done) -> str:
    request, tenant = done.request, done.result.tenant
    return f"{request.kind}: tenant {request.tenant_id} is {tenant.state} ({request.request_id})."


def _shown(summary: Summary) -> dict[str, dg.MetadataValue]:
    """The op's metadata: how many requests ended how, and those that failed."""
    failed = [
        dg.TableRecord(
            {
                "request": request.request_id,
                "tenant": request.tenant_id,
                "kind": str(request.kind),
                "code": str(error.code),
                "reason": error.message,
            }
        )
        for request, error in summary.failed[:_MOST_SHOWN]
    ]
    shown: dict[str, dg.MetadataValue] = {
        "done": dg.MetadataValue.int(len(summary.done)),
        "done_before": dg.MetadataValue.int(len(summary.done_before)),
        "failed": dg.MetadataValue.int(len(summary.failed)),
    }
    if failed:
        shown["failures"] = dg.MetadataValue.table(failed)
    return shown


def _actor(context: dg.OpExecutionContext) -> str:
    return context.run.tags.get(ACTOR_TAG, _BY_HAND)


def _now() -> datetime:
    return datetime.now(UTC)
