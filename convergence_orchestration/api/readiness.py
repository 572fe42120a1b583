"""Whether what the API needs is there: the indexes, Dagster, BigQuery, each with how old the answer is.

What belongs here: the looks and for how long their answers count. A look that fails or takes too long is `unknown`
or `unhealthy`, never healthy.
"""

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import anyio
import anyio.to_thread

from convergence_orchestration.api.bodies import Check, Readiness
from convergence_orchestration.api.dagster_client import DagsterClient
from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.keys.index import KeyIndex
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.index import TenantIndex
from convergence_orchestration.warehouse.model import CENTRAL_DATASET

CACHED_SECONDS = 3.0
"""A look that found all well is repeated after this long, however often a probe asks."""

CACHED_FAILURE_SECONDS = 0.5
"""One that did not is repeated sooner: somebody is waiting for the end of it."""

LOOK_SECONDS = 3.0
"""A look that takes longer is given up."""

_THREADS = 2  # looks given up hold a thread of these, not one that answers callers


@dataclass(frozen=True)
class Look:
    """What a look found: `reason` is None if all is well; `at` is of the monotonic clock."""

    at: float
    latency_ms: float
    reason: str | None
    is_unknown: bool = False

    @property
    def counts_until(self) -> float:
        """When to look again."""
        return self.at + (CACHED_SECONDS if self.reason is None else CACHED_FAILURE_SECONDS)

    def check(self, now: float) -> Check:
        """The look as the answer shows it."""
        found = "unknown" if self.is_unknown else "unhealthy"
        return Check(
            status="healthy" if self.reason is None else found,
            age_seconds=round(now - self.at, 3),
            latency_ms=round(self.latency_ms, 1),
            reason=self.reason,
        )


class Probe:
    """One thing to look at; its last look counts for a while, and only one looks at a time.

    `patience` is how many seconds a look may take, `seconds` a clock that only goes forward.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[object]],
        patience: float = LOOK_SECONDS,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._patience = patience
        self._seconds = seconds
        self._last: Look | None = None
        self._looking = anyio.Lock()

    async def check(self) -> Check:
        """The last look if it still counts, else a new one."""
        async with self._looking:
            if self._last is None or self._seconds() >= self._last.counts_until:
                self._last = await self._look_now()
            return self._last.check(self._seconds())

    async def _look_now(self) -> Look:
        began = self._seconds()
        reason: str | None = None
        is_unknown = False
        try:
            with anyio.fail_after(self._patience):
                await self._look()
        except TimeoutError:
            reason, is_unknown = f"There was no answer within {self._patience:g} s.", True
        except ConvergenceError as error:
            reason = error.message
        ended = self._seconds()
        return Look(ended, (ended - began) * 1000, reason, is_unknown)


@dataclass(frozen=True)
class FollowedCheck:
    """Whether an index is young enough for tenants' calls to be answered; `max_age` is in seconds."""

    followed: str
    age: Callable[[datetime], float]
    max_age: float

    def check(self, now: datetime) -> Check:
        """The index as the answer shows it."""
        age = self.age(now)
        if math.isinf(age):
            return Check(
                status="unknown", age_seconds=None, reason=f"The {self.followed} has not been read yet."
            )
        if age > self.max_age:
            reason = f"The {self.followed} could not be read for {age:.0f} s; tenants' calls get 503."
            return Check(status="unhealthy", age_seconds=round(age, 3), reason=reason)
        return Check(status="healthy", age_seconds=round(age, 3))


class ReadinessChecks:
    """The readiness of one API process."""

    def __init__(
        self,
        settings: Settings,
        index: KeyIndex,
        tenant_index: TenantIndex,
        dagster: DagsterClient,
        bigquery: BigQuery,
        clock: Callable[[], datetime],
    ) -> None:
        self._keys = FollowedCheck("key ledger", index.age, settings.key_index_max_age_seconds)
        self._tenants = FollowedCheck(
            "list of tenants", tenant_index.age, settings.tenant_index_max_age_seconds
        )
        self._clock = clock

        threads = anyio.CapacityLimiter(_THREADS)

        async def ask_bigquery() -> None:
            # the thread may outlive the look: Google's client goes on trying for longer
            await anyio.to_thread.run_sync(
                bigquery.get_dataset, CENTRAL_DATASET, abandon_on_cancel=True, limiter=threads
            )

        self._dagster = Probe(dagster.ping)
        self._bigquery = Probe(ask_bigquery)

    async def now(self) -> Readiness:
        """All checks, side by side."""
        now = self._clock()
        checks: dict[str, Check] = {
            "key_index": self._keys.check(now),
            "tenant_index": self._tenants.check(now),
        }

        async def run(name: str, probe: Probe) -> None:
            checks[name] = await probe.check()

        async with anyio.create_task_group() as group:
            group.start_soon(run, "dagster", self._dagster)
            group.start_soon(run, "bigquery", self._bigquery)
        is_ready = all(check.status == "healthy" for check in checks.values())
        return Readiness(status="ready" if is_ready else "not_ready", checks=checks)
