"""The job `fulfil_tenant_requests` as the stand-in for Dagster plays it: the real one, and a quick one.

What belongs here: what a run does about the requests of its config, with our own functions and the emulators.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.keys.revoking import revoke_all
from convergence_orchestration.tenancy.asked import NewTenant
from convergence_orchestration.tenancy.changes import Changes
from convergence_orchestration.tenancy.fulfilment import Done, Fulfilment
from convergence_orchestration.tenancy.model import Tenant, TenantState
from convergence_orchestration.tenancy.provisioning import Limits, Provisioned
from convergence_orchestration.tenancy.registry import Tenants
from convergence_orchestration.tenancy.request_history import next_attempt
from convergence_orchestration.tenancy.request_model import (
    RequestEvent,
    RequestId,
    RequestState,
    TenantRequest,
)
from convergence_orchestration.tenancy.requests import TenantRequests
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration.warehouse.model import tenant_dataset
from convergence_orchestration_tests.api.dagster_standin import Launch, Materializations, materialized
from convergence_orchestration_tests.keys.builders import AUDIT

JOB = "fulfil_tenant_requests"
_REVOKE = partial(revoke_all, audit=AUDIT)


class _Materializing:
    """Notes what Dagster would be shown."""

    def __init__(self) -> None:
        self.shown: Materializations = []

    def saw(self, done: Sequence[Done]) -> None:
        for each in done:
            if isinstance(each.result, Provisioned):
                self.shown += tables_of(each.request.tenant_id)

    def before_deletion(self, request: TenantRequest) -> None: ...


@dataclass(frozen=True)
class Fulfilling:
    """Carries out requests in this BigQuery."""

    bigquery: BigQuery

    def really(self, launch: Launch) -> Materializations:
        """All that the job does."""
        witness = _Materializing()
        fulfilment = Fulfilment(
            bigquery=self.bigquery,
            changes=Changes(self.bigquery, _REVOKE, launch.run_id),
            limits=Limits(),
            witness=witness,
            run_id=launch.run_id,
            actor=launch.tags["convergence/actor"],
            is_last_try=True,
            clock=lambda: datetime.now(UTC),
        )
        if error := fulfilment.fulfil(request_ids_of(launch)).error():
            raise error
        return witness.shown

    def seemingly(self, launch: Launch) -> Materializations:
        """What others see of it, profiles and events, without the seconds that datasets and tables take."""
        requests = TenantRequests(self.bigquery)
        known = requests.get_all(request_ids_of(launch))
        assert {each.request_id for each in known} == set(request_ids_of(launch))
        to_do = [each for each in known if each.state is not RequestState.DONE]
        new = [profile_of(each) for each in to_do if isinstance(each.parameters, NewTenant)]
        if new:
            Tenants(self.bigquery).activate_profiles(new)
        for each in to_do:
            if not isinstance(each.parameters, NewTenant):
                Changes(self.bigquery, _REVOKE, launch.run_id).carry_out(each, datetime.now(UTC))
        running = [event_of(each, RequestState.RUNNING, launch) for each in to_do]
        done = [event_of(each, RequestState.DONE, launch) for each in to_do]
        if to_do:
            requests.append(*running, *done)
        return [shown for tenant in new for shown in tables_of(tenant.tenant_id)]

    def failing(self, error: ConvergenceError, launch: Launch) -> Materializations:
        """Every request of the run fails with `error`, which is recorded as the job records it."""
        requests = TenantRequests(self.bigquery)
        known = requests.get_all(request_ids_of(launch))
        running = [event_of(each, RequestState.RUNNING, launch) for each in known]
        failed = [event_of(each, RequestState.FAILED, launch, error) for each in known]
        requests.append(*running, *failed)
        raise error


def request_ids_of(launch: Launch) -> list[RequestId]:
    config: dict[str, Any] = launch.config["ops"]["fulfil"]["config"]
    return [RequestId(text) for text in config["request_ids"]]


def event_of(
    request: TenantRequest, state: RequestState, launch: Launch, error: ConvergenceError | None = None
) -> RequestEvent:
    return RequestEvent(
        request_id=request.request_id,
        tenant_id=request.tenant_id,
        kind=request.kind,
        state=state,
        recorded_at=datetime.now(UTC),
        actor=launch.tags["convergence/actor"],
        attempt=next_attempt(request),
        run_id=launch.run_id,
        batch_id=request.batch_id,
        reason=error.message if error else None,
        error_code=error.code if error else None,
    )


def profile_of(request: TenantRequest) -> Tenant:
    asked = request.parameters
    assert isinstance(asked, NewTenant)
    return Tenant(
        tenant_id=asked.tenant_id,
        state=TenantState.ACTIVE,
        company_name=asked.company_name,
        description=asked.description,
        admin_email=asked.admin_email,
        plan=asked.plan,
        principal=asked.principal,
        dataset_id=tenant_dataset(asked.tenant_id),
        request_id=request.request_id,
        created_at=datetime.now(UTC),
        updated_at=datetime.now(UTC),
        state_changed_by=request.request_id,
        state_asked_at=request.requested_at,
    )


def tables_of(tenant_id: str) -> Materializations:
    return [materialized("tenant", spec.name, partition=tenant_id) for spec in tenant_tables()]
