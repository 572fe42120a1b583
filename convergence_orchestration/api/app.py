"""The application: what `uvicorn convergence_orchestration.api.app:create_app --factory` serves.

What belongs here: assembly alone: settings, middleware in its order, routes.
"""

import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from fastapi import FastAPI
from pydantic import SecretStr
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from convergence_orchestration import __version__, logs, tracing
from convergence_orchestration.api.auth import TENANT_KEY_SCHEME
from convergence_orchestration.api.body_limit import BodyLimit
from convergence_orchestration.api.context import RequestContexts
from convergence_orchestration.api.failures import Defects, add_error_answers
from convergence_orchestration.api.metrics import Metrics
from convergence_orchestration.api.rate_limits import RateLimits
from convergence_orchestration.api.routes import (
    api_keys,
    audit,
    bootstrap,
    health,
    key_list,
    key_revocations,
    me,
    pipeline_runs,
    tenant_batches,
    tenant_changes,
    tenant_requests,
    tenants,
)
from convergence_orchestration.api.services import Standing, opened, utc_now
from convergence_orchestration.errors import PermanentError
from convergence_orchestration.keys import admin
from convergence_orchestration.keys.index import KeyIndex
from convergence_orchestration.settings import Environment, Settings, load_settings
from convergence_orchestration.tenancy.index import TenantIndex

WRONG_SETTINGS = 2
"""Exit status of a process whose settings are wrong."""

_DESCRIPTION = """\
Tenants of a BigQuery platform and their keys. Whatever changes the platform is a Dagster run, which each answer names.

Administrators send `X-Admin-Key`, tenants `X-API-Key`. Every error is `{"error": {"code", "message", "request_id"}}`.
"""
_EXPOSED_HEADERS = (
    "X-Request-ID",
    "Location",
    "Retry-After",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
)


def create_app(settings: Settings | None = None, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """The application for `settings`; without them it is the process': they are read, and logs are set up.

    Raises:
        PermanentError: INVALID_SETTINGS, only if `settings` are given; a process ends with sentences and status 2.
    """
    if settings is not None:
        return _assembled(settings, clock)
    try:
        settings = load_settings()
        logs.configure(settings)
        _take_over_the_servers_logs()
        tracing.start(settings, "convergence-api")
        return _assembled(settings, clock)
    except PermanentError as error:
        print(error.message, file=sys.stderr)  # noqa: T201 for the person who starts it, before there are logs
        sys.exit(WRONG_SETTINGS)


def _take_over_the_servers_logs() -> None:
    """Let uvicorn's lines be ours, also where its own command has set up others; each request has its line already."""
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").disabled = True


def _assembled(settings: Settings, clock: Callable[[], datetime]) -> FastAPI:
    _refuse_unusable(settings.admin_api_key, settings.environment)
    index = KeyIndex()
    tenant_index = TenantIndex()
    metrics = Metrics({"key": index, "tenant": tenant_index}, clock, settings.environment)
    limits = RateLimits(settings)
    for limit in limits.in_force():
        metrics.limit(*limit)
    standing = Standing(settings, index, tenant_index, metrics, limits, clock)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(standing) as services:
            app.state.services = services
            yield
        tracing.stop()

    has_docs = settings.environment is not Environment.PRODUCTION
    app = FastAPI(
        title="Convergence Orchestration",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        middleware=_middleware(settings, metrics),
        docs_url="/docs" if has_docs else None,
        redoc_url=None,
        openapi_url="/openapi.json" if has_docs else None,
        redirect_slashes=False,
    )
    app.state.settings = settings
    add_error_answers(app)
    # routes are tried one after another: what tenants' programs call all the time comes first
    for routes in (
        me,
        pipeline_runs,
        health,
        bootstrap,
        tenants,
        tenant_changes,
        tenant_batches,
        tenant_requests,
        api_keys,
        key_revocations,
        key_list,
        audit,
    ):
        app.include_router(routes.router)
    _document_tenants_keys(app)
    return app


def _document_tenants_keys(app: FastAPI) -> None:
    """Let the OpenAPI document define what `TenantRoute` says that its calls need."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        document = described()
        document.setdefault("components", {}).setdefault("securitySchemes", {}).update(TENANT_KEY_SCHEME)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _middleware(settings: Settings, metrics: Metrics) -> list[Middleware]:
    """The outermost first."""
    return [
        Middleware(RequestContexts, observe=metrics.request, observe_error=metrics.error),
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST", "PUT", "DELETE"),
            allow_headers=(
                "X-Admin-Key",
                "X-API-Key",
                "X-Request-ID",
                "Content-Type",
                "Prefer",
                "Idempotency-Key",
            ),
            expose_headers=_EXPOSED_HEADERS,
        ),
        Middleware(BodyLimit, limit=settings.max_body_bytes),
        Middleware(Defects),
    ]


def _refuse_unusable(admin_api_key: SecretStr | None, environment: Environment) -> None:
    if admin_api_key is not None:
        admin.check(admin_api_key, environment, "ADMIN_API_KEY")
