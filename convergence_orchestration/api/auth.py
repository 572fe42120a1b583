"""Who calls: an administrator by X-Admin-Key, a tenant by X-API-Key, found out before a body is read.

What belongs here: the two kinds of routes. A missing and a wrong key get the same answer. DISABLE_AUTH, which the
settings allow in development alone, lets every caller administrate; a tenant is still told by its key, since without
one there is no saying which tenant it is.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from starlette.responses import Response

from convergence_orchestration.api.context import context_of
from convergence_orchestration.api.services import Services, services_of
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.keys.model import KeyRecord

ADMINISTRATOR = "administrator"
ANYBODY = "anybody (DISABLE_AUTH)"

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

# these only tell OpenAPI; the routes below check
admin_key_header = Security(
    APIKeyHeader(
        name="X-Admin-Key",
        scheme_name="AdminKey",
        description="The administrators' key, as `convergence admin-key` prints it.",
        auto_error=False,
    )
)
tenant_key_header = Security(
    APIKeyHeader(
        name="X-API-Key",
        scheme_name="TenantKey",
        description="A tenant's key, as POST /api/v1/admin/api-keys answered it.",
        auto_error=False,
    )
)


class AdministratorRoute(APIRoute):
    """A route for administrators; `administrator_of(request)` names the caller."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler behind the check of X-Admin-Key."""
        answer = super().get_route_handler()

        async def answer_administrator(request: Request) -> Response:
            request.state.administrator = await _administrator(request, services_of(request))
            return await answer(request)

        return answer_administrator


class TenantRoute(APIRoute):
    """A route for tenants; `caller_of(request)` is the key that the caller proved to have. Limited by tenant."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler behind the check of X-API-Key and the tenant's limits."""
        answer = super().get_route_handler()

        async def answer_tenant(request: Request) -> Response:
            services, context = services_of(request), context_of(request.scope)
            caller = _caller(request, services)
            request.state.caller = caller
            context.tenant_id = caller.tenant_id
            await services.limits.charge_tenant(caller.tenant_id, context)
            return await answer(request)

        return answer_tenant


def administrator_of(request: Request) -> str:
    """The name of the administrator who calls, for logs and events."""
    name: str = request.state.administrator
    return name


def caller_of(request: Request) -> KeyRecord:
    """The record of the key that the calling tenant sent."""
    caller: KeyRecord = request.state.caller
    return caller


async def _administrator(request: Request, services: Services) -> str:
    if services.settings.disable_auth:
        return ANYBODY
    key = request.headers.get("x-admin-key")
    if key is None or not await services.admin.accepts(key):
        raise PermanentError(
            ErrorCode.FORBIDDEN,
            "Send the administrators' key in the header X-Admin-Key: it is missing or wrong.",
        )
    return ADMINISTRATOR


def _caller(request: Request, services: Services) -> KeyRecord:
    key = request.headers.get("x-api-key")
    if key is None:
        raise _unauthorized()
    now = services.clock()
    if services.index.age(now) > services.settings.key_index_max_age_seconds:
        raise TransientError(
            ErrorCode.UNAVAILABLE, "Try again in a few seconds: keys cannot be verified right now."
        )
    record = services.index.verify(key, services.settings.environment, now)
    if record is None:
        raise _unauthorized()
    return record


def _unauthorized() -> PermanentError:
    return PermanentError(
        ErrorCode.UNAUTHORIZED,
        "Send a valid key in the header X-API-Key: it is missing, unknown, revoked or expired.",
    )
