"""The tenants in memory, asked at every request of a tenant: what state it is in and what its plan is.

What belongs here: what a tenant's own calls need to know of it, and the decision whether it is let in. No I/O;
`follower.py` fills the index.
"""

from dataclasses import dataclass
from datetime import datetime

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.following import FollowedIndex
from convergence_orchestration.tenancy.model import Plan, Tenant, TenantId, TenantState

_SHUT_OUT = frozenset({TenantState.SUSPENDED, TenantState.OFFBOARDING})


@dataclass(frozen=True)
class KnownTenant:
    """A tenant as far as its own calls need it: of ten thousand tenants nobody's address lies in memory for that."""

    tenant_id: TenantId
    state: TenantState
    plan: Plan
    company_name: str
    description: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, tenant: Tenant) -> "KnownTenant":
        """The same tenant as the registry has it."""
        return cls(
            tenant_id=tenant.tenant_id,
            state=tenant.state,
            plan=tenant.plan,
            company_name=tenant.company_name,
            description=tenant.description,
            created_at=tenant.created_at,
            updated_at=tenant.updated_at,
        )


class TenantIndex(FollowedIndex[TenantId, KnownTenant]):
    """Tenant id to tenant; its age is that of the last look at the profiles."""

    def __init__(self) -> None:
        super().__init__(lambda tenant: tenant.tenant_id)


def let_in(tenant: KnownTenant | None) -> KnownTenant:
    """The tenant if its own calls are answered.

    Raises:
        PermanentError: TENANT_NOT_FOUND for one that is gone or never was, TENANT_SUSPENDED for one that is shut out,
            TENANT_NOT_ACTIVE for one that is not ready yet.
    """
    if tenant is None or tenant.state is TenantState.DELETED:
        raise PermanentError(
            ErrorCode.TENANT_NOT_FOUND, "Ask the administrators: your tenant is not there any more."
        )
    if tenant.state in _SHUT_OUT:
        raise PermanentError(
            ErrorCode.TENANT_SUSPENDED,
            f"Ask the administrators to resume your tenant: it is {tenant.state} and its calls are refused.",
            {"state": str(tenant.state)},
        )
    if tenant.state is not TenantState.ACTIVE:
        raise PermanentError(
            ErrorCode.TENANT_NOT_ACTIVE,
            f"Send it again in a minute: your tenant is {tenant.state} and not ready yet.",
            {"state": str(tenant.state)},
        )
    return tenant
