"""How tenants come into being, each step so that a repetition finds what is done and does the rest.

The order carries the guarantees: a dataset's creation claims the id (BigQuery creates a dataset once), nothing is
written before the claim, and the profile comes last because it is what makes a tenant exist. One tenant and a hundred
take the same way: what is a call for each tenant runs a few at once, what is a statement is one for all of them.
What is recorded of the requests is not written here but in `fulfilment.py`.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.pacing import Pace
from convergence_orchestration.tenancy.asked import NewTenant
from convergence_orchestration.tenancy.attempts import Failures, attempted
from convergence_orchestration.tenancy.model import Tenant, TenantId, TenantState
from convergence_orchestration.tenancy.registry import PlanOf, Tenants
from convergence_orchestration.tenancy.request_model import RequestId
from convergence_orchestration.warehouse.catalogue import tenant_tables, to_bigquery
from convergence_orchestration.warehouse.model import TableSpec, tenant_dataset

REQUEST_LABEL = "request_id"
_LABELS = {"managed_by": "convergence-orchestration"}
_GONE = frozenset({TenantState.OFFBOARDING, TenantState.DELETED})


@dataclass(frozen=True)
class Limits:
    """What BigQuery's quotas allow us.

    Attributes:
        calls_at_once: metadata calls in flight.
        tables_per_second: pace of tables.insert; BigQuery takes 10 a second from one user.
    """

    calls_at_once: int = 4
    tables_per_second: float = 10.0


@dataclass(frozen=True)
class Wanted:
    """A tenant that is to be made, by which request, and when that was asked for, UTC."""

    request_id: RequestId
    tenant: NewTenant
    asked_at: datetime


@dataclass(frozen=True)
class Provisioned:
    """What provisioning found and made: every table of the tenant, with True if this call created it."""

    tenant: Tenant
    dataset_created: bool
    tables: dict[str, bool]

    @property
    def tables_created(self) -> tuple[str, ...]:
        """The tables that this call created."""
        return tuple(name for name, created in self.tables.items() if created)


@dataclass
class Outcomes:
    """What became of each request: every one is in either of the two."""

    provisioned: dict[RequestId, Provisioned] = field(default_factory=dict)
    failed: Failures = field(default_factory=dict)


class Provisioning:
    """Makes tenants in one BigQuery, whose central tables must be there, within `limits`."""

    def __init__(self, bigquery: BigQuery, limits: Limits = Limits()) -> None:
        self._bigquery = bigquery
        self._tenants = Tenants(bigquery)
        self._limits = limits
        self._pace = Pace(limits.tables_per_second)

    def provision(self, wanted: Sequence[Wanted], now: datetime) -> Outcomes:
        """Make these tenants, or finish those that an earlier attempt of their request began.

        A tenant that fails alone is in `failed`: TENANT_EXISTS if the id belongs to another request (nothing of it is
        touched), FAILED_PRECONDITION if the tenant is on its way out, else what `gcp.bigquery` says.

        Raises:
            ConvergenceError: a statement for all of them failed; the same call continues.
        """
        outcomes = Outcomes()
        existing = self._tenants.get_all([each.tenant.tenant_id for each in wanted])
        free = [each for each in wanted if self._is_free(existing.get(each.tenant.tenant_id), each, outcomes)]
        with ThreadPoolExecutor(self._limits.calls_at_once) as pool:
            created, failed = attempted(pool, free, by=_request, call=self._claim)
            outcomes.failed |= failed
            claimed = [each for each in free if each.request_id in created]
            tables, failed = self._tables(pool, claimed)
            outcomes.failed |= failed
        ready = [each for each in claimed if each.request_id not in failed]
        tenants = self._activated(ready, existing, outcomes, now)
        for each in ready:
            if tenant := tenants.get(each.request_id):
                outcomes.provisioned[each.request_id] = Provisioned(
                    tenant, created[each.request_id], tables[each.request_id]
                )
        return outcomes

    def ensure_tables(self, tenant_id: TenantId, specs: Sequence[TableSpec]) -> dict[str, bool]:
        """Create those of `specs` that the tenant lacks; by name, True if this call created it."""
        with ThreadPoolExecutor(self._limits.calls_at_once) as pool:
            created = pool.map(lambda spec: self._ensure_table(tenant_id, spec), specs)
            return dict(zip([spec.name for spec in specs], created, strict=True))

    def _is_free(self, existing: Tenant | None, wanted: Wanted, outcomes: Outcomes) -> bool:
        error = refusal(existing, wanted.request_id)
        if error is not None:
            outcomes.failed[wanted.request_id] = error
        return error is None

    def _claim(self, wanted: Wanted) -> bool:
        return claim(self._bigquery, wanted.tenant.tenant_id, wanted.request_id, wanted.tenant.principal)

    def _tables(
        self, pool: ThreadPoolExecutor, claimed: Sequence[Wanted]
    ) -> tuple[dict[RequestId, dict[str, bool]], Failures]:
        """By request, the tables with True for those created now; and the requests of which a table failed."""
        pairs = [(each, spec) for each in claimed for spec in tenant_tables()]
        created, failed_pairs = attempted(
            pool,
            pairs,
            by=lambda pair: (pair[0].request_id, pair[1].name),
            call=lambda pair: self._ensure_table(pair[0].tenant.tenant_id, pair[1]),
        )
        tables: dict[RequestId, dict[str, bool]] = {each.request_id: {} for each in claimed}
        for (request_id, name), was_created in created.items():
            tables[request_id][name] = was_created
        return tables, {request_id: error for (request_id, _), error in failed_pairs.items()}

    def _ensure_table(self, tenant_id: TenantId, spec: TableSpec) -> bool:
        self._pace.wait()
        return self._bigquery.create_table(
            to_bigquery(spec, self._bigquery.project, tenant_dataset(tenant_id))
        )

    def _activated(
        self,
        ready: Sequence[Wanted],
        existing: Mapping[TenantId, Tenant],
        outcomes: Outcomes,
        now: datetime,
    ) -> dict[RequestId, Tenant]:
        """Write the tenants' rows, the profiles last, which is the moment that makes tenants ACTIVE.

        A profile that is there by now stays as it is: a run that was slow must not wake a tenant suspended since.
        """
        tenants = {each.request_id: existing.get(each.tenant.tenant_id) for each in ready}
        new = [each for each in ready if _is_still_to_be_activated(tenants[each.request_id])]
        if new:
            tenants |= self._written(new, outcomes, now)
        return {request_id: tenant for request_id, tenant in tenants.items() if tenant is not None}

    def _written(
        self, new: Sequence[Wanted], outcomes: Outcomes, now: datetime
    ) -> dict[RequestId, Tenant | None]:
        ours = {each.request_id: _active(each, now) for each in new}
        self._write_plans(new)
        if self._tenants.activate_profiles(list(ours.values())) == len(new):
            return dict(ours)
        found = self._tenants.get_all([each.tenant.tenant_id for each in new])
        return {each.request_id: self._ours(found.get(each.tenant.tenant_id), each, outcomes) for each in new}

    def _write_plans(self, new: Sequence[Wanted]) -> None:
        plans = [PlanOf(each.tenant.tenant_id, each.tenant.plan, each.asked_at) for each in new]
        with ThreadPoolExecutor(2) as pool:
            rows = [
                pool.submit(self._tenants.upsert_subscriptions, plans),
                pool.submit(self._tenants.upsert_quotas, plans),
            ]
        for written in rows:
            written.result()

    def _ours(self, found: Tenant | None, wanted: Wanted, outcomes: Outcomes) -> Tenant | None:
        """The profile as it is now; None, with the reason in `outcomes`, if it turns out to be another request's."""
        error: ConvergenceError | None = refusal(found, wanted.request_id)
        if error is None and found is None:
            error = TransientError(
                ErrorCode.UNAVAILABLE,
                f"Try again: the profile of {wanted.tenant.tenant_id} vanished while it was written.",
            )
        if error is not None:
            outcomes.failed[wanted.request_id] = error
            return None
        return found


def claim(bigquery: BigQuery, tenant_id: TenantId, request_id: RequestId, principal: str = "") -> bool:
    """Make the tenant's dataset this request's; True if this call created it, False if an earlier attempt had.

    `principal` may read and write it besides the platform; empty for nobody.

    Raises:
        PermanentError: TENANT_EXISTS if another request, or somebody else, owns the dataset.
    """
    dataset_id = tenant_dataset(tenant_id)
    created = bigquery.create_dataset(
        dataset_id,
        description=f"Everything of tenant {tenant_id}.",
        labels={**_LABELS, REQUEST_LABEL: request_id, "tenant_id": tenant_id},
        writer=principal,
    )
    if created:
        return True
    dataset = bigquery.get_dataset(dataset_id)
    if dataset is None:
        raise TransientError(
            ErrorCode.UNAVAILABLE,
            f"Try again: dataset {dataset_id} was deleted while it was being looked at.",
        )
    owner = dataset.labels.get(REQUEST_LABEL)
    if owner != request_id:
        raise _taken(tenant_id, owner)
    if principal:
        bigquery.grant_writer(dataset, principal)
    return False


def refusal(existing: Tenant | None, request_id: RequestId) -> PermanentError | None:
    """Why this request may not make the tenant whose profile is `existing`; None if it may."""
    if existing is None:
        return None
    if existing.request_id != request_id and existing.state is not TenantState.DELETED:
        return _taken(existing.tenant_id, existing.request_id)
    if existing.state in _GONE:
        return PermanentError(
            ErrorCode.TENANT_DELETED
            if existing.state is TenantState.DELETED
            else ErrorCode.FAILED_PRECONDITION,
            f"Choose another tenant id: {existing.tenant_id} is {existing.state} and is not made again.",
            {"tenant_id": existing.tenant_id, "state": str(existing.state)},
        )
    return None


def _request(wanted: Wanted) -> RequestId:
    return wanted.request_id


def _is_still_to_be_activated(tenant: Tenant | None) -> bool:
    return tenant is None or tenant.state is TenantState.PROVISIONING


def _active(wanted: Wanted, now: datetime) -> Tenant:
    asked = wanted.tenant
    return Tenant(
        tenant_id=asked.tenant_id,
        state=TenantState.ACTIVE,
        company_name=asked.company_name,
        description=asked.description,
        admin_email=asked.admin_email,
        plan=asked.plan,
        principal=asked.principal,
        dataset_id=tenant_dataset(asked.tenant_id),
        request_id=wanted.request_id,
        created_at=now,
        updated_at=now,
        state_changed_by=wanted.request_id,
        state_asked_at=wanted.asked_at,
    )


def _taken(tenant_id: TenantId, owner: str | None) -> PermanentError:
    if owner is None:
        message = f"Choose another tenant id: dataset {tenant_dataset(tenant_id)} is there and no request of this platform made it."
    else:
        message = (
            f"Choose another tenant id: {tenant_id} belongs to request {owner}. To finish that request instead, "
            "re-execute its run or start the job `fulfil_tenant_requests` with its id."
        )
    return PermanentError(ErrorCode.TENANT_EXISTS, message, {"tenant_id": tenant_id, "claimed_by": owner})
