"""How a tenant comes into being, each step so that a repetition finds what is done and does the rest.

The order carries the guarantees: the dataset's creation claims the id (BigQuery creates a dataset once), nothing is
written before the claim, and the profile comes last because it is what makes the tenant exist. What is recorded of
the request is not written here but in `onboarding.py`.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeGuard

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.tenancy.model import NewTenant, RequestId, Tenant, TenantId, TenantState
from convergence_orchestration.tenancy.registry import Tenants
from convergence_orchestration.warehouse.catalogue import central_tables, tenant_tables, to_bigquery, views
from convergence_orchestration.warehouse.model import CENTRAL_DATASET, TableSpec, tenant_dataset

MAX_CONCURRENT_CALLS = 4
"""BigQuery takes 10 tables.insert a second from one user; four at once stay below with calls of half a second."""

REQUEST_LABEL = "request_id"
_LABELS = {"managed_by": "convergence-orchestration"}


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


def provision(bigquery: BigQuery, request_id: RequestId, asked: NewTenant, now: datetime) -> Provisioned:
    """Make the tenant that `asked` describes, or finish it if an earlier attempt of this request began.

    The central tables must be there: `ensure_bootstrapped` looks.

    Raises:
        PermanentError: TENANT_EXISTS if the id belongs to another request (nothing of it is touched);
            FAILED_PRECONDITION if the tenant is on its way out.
        TransientError: as `gcp.bigquery` says; the same call continues.
    """
    tenants = Tenants(bigquery)
    existing = tenants.get(asked.tenant_id)
    _refuse_if_taken(existing, request_id)
    dataset_created = claim(bigquery, asked.tenant_id, request_id)
    tables = ensure_tables(bigquery, asked.tenant_id, tenant_tables())
    tenant = existing if _is_activated(existing) else activate(tenants, request_id, asked, now)
    return Provisioned(tenant, dataset_created, tables)


def ensure_bootstrapped(bigquery: BigQuery) -> None:
    """Check that the central tables and views are there.

    Raises:
        PermanentError: NOT_BOOTSTRAPPED, with what is missing in the details.
    """
    needed = {table.name for table in central_tables()} | {view.name for view in views()}
    missing = needed - _tables_in(bigquery, CENTRAL_DATASET)
    if missing:
        raise PermanentError(
            ErrorCode.NOT_BOOTSTRAPPED,
            "Bootstrap first: POST /api/v1/admin/bootstrap or the job `bootstrap`; "
            f"{len(missing)} of {len(needed)} central tables and views are missing.",
            {"missing": sorted(missing)},
        )


def claim(bigquery: BigQuery, tenant_id: TenantId, request_id: RequestId) -> bool:
    """Make the tenant's dataset this request's; True if this call created it, False if an earlier attempt had.

    Raises:
        PermanentError: TENANT_EXISTS if another request, or somebody else, owns the dataset.
    """
    dataset_id = tenant_dataset(tenant_id)
    created = bigquery.create_dataset(
        dataset_id,
        description=f"Everything of tenant {tenant_id}.",
        labels={**_LABELS, REQUEST_LABEL: request_id, "tenant_id": tenant_id},
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
    return False


def ensure_tables(bigquery: BigQuery, tenant_id: TenantId, specs: Sequence[TableSpec]) -> dict[str, bool]:
    """Create those of `specs` that the tenant lacks; by name, True if this call created it."""
    dataset_id = tenant_dataset(tenant_id)

    def create(spec: TableSpec) -> bool:
        return bigquery.create_table(to_bigquery(spec, bigquery.project, dataset_id))

    return dict(zip([spec.name for spec in specs], _each(create, specs), strict=True))


def activate(tenants: Tenants, request_id: RequestId, asked: NewTenant, now: datetime) -> Tenant:
    """Write the tenant's rows; the profile last, which is the moment that makes the tenant ACTIVE.

    A profile that is there by now stays as it is: a run that was slow must not wake a tenant suspended since.

    Raises:
        PermanentError: TENANT_EXISTS if the profile turns out to be another request's.
    """
    _each(
        lambda write: write(asked.tenant_id, asked.plan, now),
        (tenants.upsert_subscription, tenants.upsert_quota),
    )
    tenant = Tenant(
        tenant_id=asked.tenant_id,
        state=TenantState.ACTIVE,
        company_name=asked.company_name,
        description=asked.description,
        admin_email=asked.admin_email,
        plan=asked.plan,
        dataset_id=tenant_dataset(asked.tenant_id),
        request_id=request_id,
        created_at=now,
        updated_at=now,
    )
    if tenants.activate_profile(tenant):
        return tenant
    return _activated_meanwhile(tenants, tenant)


def _each[T, R](call: Callable[[T], R], arguments: Iterable[T]) -> list[R]:
    """`call` with each argument, a few at once; after a failure the others are finished, then it is raised."""
    with ThreadPoolExecutor(MAX_CONCURRENT_CALLS) as pool:
        return list(pool.map(call, arguments))


def _tables_in(bigquery: BigQuery, dataset_id: str) -> set[str]:
    """The names of a dataset's tables; none if there is no such dataset."""
    try:
        return set(bigquery.list_tables(dataset_id))
    except ConvergenceError as error:
        if error.code is ErrorCode.NOT_FOUND:
            return set()
        raise


def _activated_meanwhile(tenants: Tenants, ours: Tenant) -> Tenant:
    """The profile that another run wrote since we looked."""
    found = tenants.get(ours.tenant_id)
    _refuse_if_taken(found, ours.request_id)
    if found is None:
        raise TransientError(
            ErrorCode.UNAVAILABLE,
            f"Try again: the profile of {ours.tenant_id} vanished while it was written.",
        )
    return found


def _is_activated(tenant: Tenant | None) -> TypeGuard[Tenant]:
    return tenant is not None and tenant.state is not TenantState.PROVISIONING


def _refuse_if_taken(existing: Tenant | None, request_id: RequestId) -> None:
    if existing is None:
        return
    if existing.request_id != request_id:
        raise _taken(existing.tenant_id, existing.request_id)
    if existing.state in {TenantState.OFFBOARDING, TenantState.DELETED}:
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Choose another tenant id: {existing.tenant_id} is {existing.state} and is not made again.",
            {"tenant_id": existing.tenant_id, "state": str(existing.state)},
        )


def _taken(tenant_id: TenantId, owner: str | None) -> PermanentError:
    if owner is None:
        message = f"Choose another tenant id: dataset {tenant_dataset(tenant_id)} is there and no request of this platform made it."
    else:
        message = (
            f"Choose another tenant id: {tenant_id} belongs to request {owner}. To finish that request instead, "
            "re-execute its run or start the job `onboard_tenant` with its request_id."
        )
    return PermanentError(ErrorCode.TENANT_EXISTS, message, {"tenant_id": tenant_id, "claimed_by": owner})
