"""How often a caller may call: the limits of plans and settings, counted in memory, or by the `limits` package in Redis.

What belongs here: counting and the headers that tell about it. Windows move with the clock, so no burst fits around a
window's edge. If Redis cannot be asked, this process counts for itself: limits protect the platform, they authorise
nobody, so a lost counter must not stop callers.
"""

import math
import time
from collections.abc import Iterator, Sequence

import anyio.to_thread
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.errors import ConfigurationError
from limits.storage import Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

from convergence_orchestration.api.context import RequestContext
from convergence_orchestration.api.own_windows import Allowance, OwnWindows
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.logs import logger
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.model import PLAN_LIMITS, Plan

_log = logger(__name__)


class RateLimits:
    """The limits of one API; counts are shared with other processes if the storage is.

    Raises:
        PermanentError: INVALID_SETTINGS if RATE_LIMIT_STORAGE_URL cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._tenant = {plan: _items(*requests_allowed(plan, settings)) for plan in Plan}
        self._any_tenant = _items(settings.tenant_requests_per_minute, settings.tenant_requests_per_hour)
        self._creation = (RateLimitItemPerMinute(settings.tenant_creations_per_minute, namespace="creation"),)
        self._shared = _shared_storage(settings.rate_limit_storage_url)
        self._own = OwnWindows()

    def in_force(self) -> Iterator[tuple[str, str, int]]:
        """Plan, window and requests of each limit of tenants."""
        for plan, items in self._tenant.items():
            for item in items:
                yield str(plan), item.GRANULARITY.name, item.amount

    async def charge_tenant(self, tenant_id: str, plan: Plan | None, context: RequestContext) -> None:
        """Count a call of a tenant, and tell its headers to `context`; without its plan the settings alone count.

        Raises:
            TransientError: RATE_LIMITED.
        """
        items = self._any_tenant if plan is None else self._tenant[plan]
        await self._charge(items, tenant_id, context)

    async def charge_tenant_creation(self, administrator: str, context: RequestContext) -> None:
        """Count a tenant asked for by this administrator, and tell its headers to `context`.

        Raises:
            TransientError: RATE_LIMITED.
        """
        await self._charge(self._creation, administrator, context)

    async def _charge(self, items: Sequence[RateLimitItem], who: str, context: RequestContext) -> None:
        allowance = (
            self._own.count(items, who)
            if self._shared is None
            else await self._shared_count(self._shared, items, who)
        )
        context.headers.update(allowance.headers())
        if allowance.is_exceeded:
            raise TransientError(
                ErrorCode.RATE_LIMITED,
                f"Try again in {allowance.reset} s: {allowance.limit} calls a {allowance.window} are allowed.",
                {"limit": allowance.limit, "window": allowance.window},
                retry_after=allowance.reset,
            )

    async def _shared_count(
        self, shared: MovingWindowRateLimiter, items: Sequence[RateLimitItem], who: str
    ) -> Allowance:
        try:
            return await anyio.to_thread.run_sync(_count, shared, items, who)
        except Exception as error:  # noqa: BLE001 whatever Redis' client raises, see the module
            _log.warning(
                "Rate limits are counted in this process alone: their storage fails",
                kind=type(error).__name__,
            )
            return self._own.count(items, who)


def requests_allowed(plan: Plan, settings: Settings) -> tuple[int, int]:
    """Requests a minute and an hour: what the plan allows, and at most what the settings do."""
    limits = PLAN_LIMITS[plan]
    return (
        min(limits.requests_per_minute, settings.tenant_requests_per_minute),
        min(limits.requests_per_hour, settings.tenant_requests_per_hour),
    )


def _items(a_minute: int, an_hour: int) -> tuple[RateLimitItem, ...]:
    return (
        RateLimitItemPerMinute(a_minute, namespace="tenant"),
        RateLimitItemPerHour(an_hour, namespace="tenant"),
    )


def _count(limiter: MovingWindowRateLimiter, items: Sequence[RateLimitItem], who: str) -> Allowance:
    """Count one call against each limit, the shortest window first; stop at the first that is used up."""
    nearest: Allowance | None = None
    for item in items:
        is_exceeded = not limiter.hit(item, who)
        stats = limiter.get_window_stats(item, who)
        reset = max(1, math.ceil(stats.reset_time - time.time()))
        allowance = Allowance(item.amount, item.GRANULARITY.name, max(0, stats.remaining), reset, is_exceeded)
        if is_exceeded:
            return allowance
        if nearest is None or allowance.remaining < nearest.remaining:
            nearest = allowance
    if nearest is None:
        raise ValueError("no limit to count against")
    return nearest


def _shared_storage(url: str) -> MovingWindowRateLimiter | None:
    """The limiter over a storage which other processes share; None for memory."""
    if url == "memory://":
        return None
    try:
        storage = storage_from_string(url)
    except (ConfigurationError, ValueError, TypeError) as error:
        raise PermanentError(
            ErrorCode.INVALID_SETTINGS,
            "RATE_LIMIT_STORAGE_URL is wrong: use memory:// or redis://host:port, the latter with the package redis "
            f"installed ({type(error).__name__}).",
        ) from None
    if not isinstance(storage, Storage):
        raise PermanentError(
            ErrorCode.INVALID_SETTINGS, "RATE_LIMIT_STORAGE_URL is wrong: leave out async+ from its scheme."
        )
    return MovingWindowRateLimiter(storage)
