"""Tenants' profiles for the tenants' own calls, kept for a while: a query a call would cost a second and money.

What belongs here: how long a profile is trusted. Administrators' calls read the registry itself.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock

from convergence_orchestration.tenancy.model import Tenant, TenantId

MOST_PROFILES = 10_000
"""More are forgotten, the one read longest ago first."""


class TenantProfiles:
    """At most `most` profiles not older than `max_age` seconds, for any number of threads."""

    def __init__(
        self,
        read: Callable[[TenantId], Tenant | None],
        max_age: float,
        clock: Callable[[], datetime],
        most: int = MOST_PROFILES,
    ) -> None:
        self._read = read
        self._max_age = timedelta(seconds=max_age)
        self._clock = clock
        self._most = most
        self._changing = Lock()
        self._known: dict[TenantId, tuple[Tenant, datetime]] = {}

    def fresh(self, tenant_id: TenantId) -> Tenant | None:
        """The profile if it was read not long ago; never asks anybody."""
        known = self._known.get(tenant_id)
        if known is None or self._clock() - known[1] > self._max_age:
            return None
        return known[0]

    def read(self, tenant_id: TenantId) -> Tenant | None:
        """The profile as the registry has it now, which is remembered. Blocks; errors are the registry's."""
        now = self._clock()
        tenant = self._read(tenant_id)
        with self._changing:
            self._known.pop(tenant_id, None)
            if tenant is not None:
                self._known[tenant_id] = (tenant, now)
            if len(self._known) > self._most:
                del self._known[next(iter(self._known))]
        return tenant
