"""What the calls work with: clients, stores and the indexes of one API process, opened and closed together.

What belongs here: putting them together. Nothing is asked of any of them before the application starts, and start-up
waits for none: what cannot be reached is told by /health/ready.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import anyio
import anyio.to_thread
import httpx
from fastapi import Request

from convergence_orchestration.api.admin_access import AdminAccess
from convergence_orchestration.api.audit_writing import ApiAudit
from convergence_orchestration.api.dagster_client import DagsterClient
from convergence_orchestration.api.key_source import LedgerOnceBootstrapped
from convergence_orchestration.api.metrics import Metrics
from convergence_orchestration.api.rate_limits import RateLimits
from convergence_orchestration.api.readiness import ReadinessChecks
from convergence_orchestration.api.shared_refusals import SharedRefusals
from convergence_orchestration.api.turns import Turns
from convergence_orchestration.following import Follower
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client, kms_client, secret_manager_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys.follower import LedgerFollower
from convergence_orchestration.keys.index import KeyIndex
from convergence_orchestration.keys.ledger import KeyEvents, event_of
from convergence_orchestration.keys.ledger_listing import ListedLedger
from convergence_orchestration.keys.stores import KeyStores
from convergence_orchestration.keys.usage import APPEND_SECONDS, UsageRecorder
from convergence_orchestration.keys.verifying import Verifier
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.follower import TenantFollower, read_profiles
from convergence_orchestration.tenancy.index import TenantIndex
from convergence_orchestration.tenancy.registry import Tenants
from convergence_orchestration.tenancy.requests import TenantRequests
from convergence_orchestration.warehouse.bootstrap import needs_bootstrap

GOOGLE_CALLS_AT_ONCE = 16
"""Threads that may wait for Google at once, apart from those of anybody else."""


@dataclass(frozen=True)
class Standing:
    """What an application has from its making on, before anything is opened."""

    settings: Settings
    index: KeyIndex
    tenant_index: TenantIndex
    metrics: Metrics
    limits: RateLimits
    clock: Callable[[], datetime]


@dataclass(frozen=True)
class Services:
    """Everything a call may need."""

    settings: Settings
    clock: Callable[[], datetime]
    metrics: Metrics
    limits: RateLimits
    index: KeyIndex
    follower: LedgerFollower
    verifier: Verifier
    usage: UsageRecorder
    tenant_index: TenantIndex
    tenant_follower: TenantFollower
    dagster: DagsterClient
    admin: AdminAccess
    bigquery: BigQuery
    kms: Kms
    tenants: Tenants
    requests: TenantRequests
    ledger: KeyEvents
    key_stores: KeyStores
    key_refusals: SharedRefusals
    audit: ApiAudit
    readiness: ReadinessChecks
    threads: anyio.CapacityLimiter
    turns: Turns

    async def blocking[**P, R](self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """`call` in a thread, for what asks Google about the control plane.

        Raises:
            PermanentError: NOT_BOOTSTRAPPED if the central dataset or table it reads is not there.
        """
        with needs_bootstrap():
            return await anyio.to_thread.run_sync(lambda: call(*args, **kwargs), limiter=self.threads)

    def run_url(self, run_id: str | None) -> str | None:
        """Where a person sees the run; None for none."""
        return self.dagster.run_url(run_id) if run_id else None


def services_of(request: Request) -> Services:
    """The services of the application that answers this request."""
    services: Services = request.app.state.services
    return services


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


@asynccontextmanager
async def opened(standing: Standing) -> AsyncIterator[Services]:
    """The services, with the indexes being followed, until the block is left."""
    settings = standing.settings
    with _google(settings) as google:
        # Dagster is an address of ours: no proxy of the environment stands before it
        async with httpx.AsyncClient(trust_env=False) as http:
            services = _services(standing, google, DagsterClient(http, settings.dagster_base_url))
            threads: tuple[Follower | UsageRecorder, ...] = (
                services.follower,
                services.tenant_follower,
                services.usage,
            )
            for thread in threads:
                thread.start()
            services.audit.start()
            try:
                yield services
            finally:
                for thread in threads:
                    await anyio.to_thread.run_sync(thread.stop)
                await anyio.to_thread.run_sync(services.audit.stop)


@dataclass(frozen=True)
class _Google:
    bigquery: BigQuery
    kms: Kms
    secrets: Secrets


@contextmanager
def _google(settings: Settings) -> Iterator[_Google]:
    """Our clients of Google's services, closed at the end."""
    with ExitStack() as closing:
        bigquery = bigquery_client(settings)
        closing.callback(bigquery.close)
        kms = kms_client(settings)
        closing.callback(kms.transport.close)
        secrets = secret_manager_client(settings)
        closing.callback(secrets.transport.close)
        yield _Google(
            BigQuery(bigquery),
            Kms(kms, settings.crypto_key_name, deadline_seconds=settings.kms_deadline_seconds),
            Secrets(secrets, settings.gcp_project_id),
        )


def _services(standing: Standing, google: _Google, dagster: DagsterClient) -> Services:
    settings, index, clock = standing.settings, standing.index, standing.clock
    tenants = Tenants(google.bigquery)
    audit = ApiAudit(google.bigquery.client, settings.environment, clock)
    key_stores = KeyStores.over(google.bigquery, google.secrets, settings.environment, audit.trail)
    source = LedgerOnceBootstrapped(ListedLedger(google.bigquery, key_stores.ledger, event_of, clock))
    follower = LedgerFollower(source, index, interval=settings.key_index_refresh_seconds, clock=clock)
    return Services(
        settings=settings,
        clock=clock,
        metrics=standing.metrics,
        limits=standing.limits,
        index=index,
        follower=follower,
        verifier=Verifier(index, settings.environment, follower.wake, time.monotonic),
        usage=UsageRecorder(BigQuery(google.bigquery.client, APPEND_SECONDS), clock),
        tenant_index=standing.tenant_index,
        tenant_follower=TenantFollower(
            partial(read_profiles, google.bigquery),
            standing.tenant_index,
            interval=settings.tenant_index_refresh_seconds,
            clock=clock,
        ),
        dagster=dagster,
        admin=AdminAccess(settings, google.secrets, clock=clock),
        bigquery=google.bigquery,
        kms=google.kms,
        tenants=tenants,
        requests=TenantRequests(google.bigquery),
        ledger=key_stores.ledger,
        key_stores=key_stores,
        key_refusals=SharedRefusals(),
        audit=audit,
        readiness=ReadinessChecks(settings, index, standing.tenant_index, dagster, google.bigquery, clock),
        threads=anyio.CapacityLimiter(GOOGLE_CALLS_AT_ONCE),
        turns=Turns(),
    )
