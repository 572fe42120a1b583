"""Who calls: an administrator by X-Admin-Key, a tenant by X-API-Key, found out before a body is read.

What belongs here: the two kinds of routes. A missing and a wrong key get the same answer. DISABLE_AUTH, which the
settings allow in development alone, lets every caller administrate; a tenant is still told by its key, since without
one there is no saying which tenant it is.
"""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from fastapi import Depends, Request, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from starlette.responses import Response

from convergence_orchestration.api.auditing import answered_and_audited, refusals_noted
from convergence_orchestration.api.context import context_of
from convergence_orchestration.api.services import Services, services_of
from convergence_orchestration.api.statuses import STATUS
from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.keys.admins.model import UNNAMED
from convergence_orchestration.keys.model import KeyRecord, Scope
from convergence_orchestration.logs import logger
from convergence_orchestration.tenancy.index import KnownTenant, let_in
from convergence_orchestration.tenancy.model import TenantId

ADMINISTRATOR = UNNAMED
ANYBODY = "anybody (DISABLE_AUTH)"

_log = logger(__name__)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

# this only tells OpenAPI; the routes below check
admin_key_header = Security(
    APIKeyHeader(
        name="X-Admin-Key",
        scheme_name="AdminKey",
        description="The administrators' key, as `convergence admin-key` prints it.",
        auto_error=False,
    )
)
TENANT_KEY_SCHEME: dict[str, dict[str, str]] = {
    "TenantKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "A tenant's key, as POST /api/v1/admin/api-keys answered it.",
    }
}
"""For OpenAPI's `components.securitySchemes`; as a dependency of FastAPI's it would cost each call of a tenant 20 us."""


class AdministratorRoute(APIRoute):
    """A route for administrators, of which each call is audited; `administrator_of(request)` names the caller."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler behind the check of X-Admin-Key."""
        answer, name = super().get_route_handler(), self.name

        async def answer_administrator(request: Request) -> Response:
            async with refusals_noted(name, request):
                request.state.administrator = await _administrator(request, services_of(request))
            return await answered_and_audited(name, request, request.state.administrator, answer)

        return answer_administrator


class TenantRoute(APIRoute):
    """A route for tenants that are let in, limited by tenant.

    `caller_of(request)` is the key that the caller proved to have, `tenant_of(request)` the tenant whose key it is:
    nothing else in a request says who calls.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 APIRoute's own, whatever they are
        extra = kwargs.get("openapi_extra") or {}
        kwargs["openapi_extra"] = {"security": [{name: []} for name in TENANT_KEY_SCHEME]} | extra
        super().__init__(*args, **kwargs)

    def get_route_handler(self) -> Handler:
        """FastAPI's handler behind the check of X-API-Key and the tenant's limits."""
        answer = super().get_route_handler()

        async def answer_tenant(request: Request) -> Response:
            services, context = services_of(request), context_of(request.scope)
            caller = _caller(request, services)
            tenant = services.tenant_index.get(caller.tenant_id)
            services.usage.notes.note(caller, services.clock())
            context.tenant_id = caller.tenant_id
            plan = tenant.plan if tenant else None
            await services.limits.charge_tenant(caller.tenant_id, plan, context)
            if tenant is None:  # it was made a moment ago, or it is gone
                tenant = await _looked_up(caller.tenant_id, services)
            request.state.caller, request.state.tenant = caller, let_in(tenant)
            with for_a_tenant():
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


def tenant_of(request: Request) -> KnownTenant:
    """The calling tenant, ACTIVE as far as the tenant index knows."""
    tenant: KnownTenant = request.state.tenant
    return tenant


def needs(scope: Scope) -> Any:  # noqa: ANN401 FastAPI's own type for it
    """A route's dependency: 403 FORBIDDEN unless the caller's key has this scope."""

    async def check(request: Request) -> None:  # async: FastAPI runs what is not in a thread
        if scope not in caller_of(request).scopes:
            raise PermanentError(
                ErrorCode.FORBIDDEN,
                f"Use a key with the scope {scope}: yours does not have it.",
                {"scope": str(scope)},
            )

    return Depends(check)


@contextmanager
def for_a_tenant() -> Iterator[None]:
    """Say no more than "try again" of what is wrong with the platform: hosts, projects and roles are not a tenant's."""
    try:
        yield
    except ConvergenceError as error:
        if (
            STATUS[error.code] < HTTPStatus.INTERNAL_SERVER_ERROR
            and error.code is not ErrorCode.NOT_BOOTSTRAPPED
        ):
            raise
        _log.error(
            "A tenant's call failed", code=str(error.code), reason=error.message, details=error.details
        )
        raise TransientError(
            ErrorCode.UNAVAILABLE,
            "Send it again in a few seconds, and ask the administrators if that does not help: the platform could not "
            "answer.",
            retry_after=getattr(error, "retry_after", 5.0),
        ) from error


async def _looked_up(tenant_id: TenantId, services: Services) -> KnownTenant | None:
    with for_a_tenant():
        found = await services.blocking(services.tenants.get, tenant_id)
    return KnownTenant.of(found) if found else None


async def _administrator(request: Request, services: Services) -> str:
    if services.settings.disable_auth:
        return ANYBODY
    key = request.headers.get("x-admin-key")
    name = await services.admin.name_of(key) if key is not None else None
    if name is None:
        raise PermanentError(
            ErrorCode.FORBIDDEN,
            "Send the administrators' key in the header X-Admin-Key: it is missing or wrong.",
        )
    return name


def _caller(request: Request, services: Services) -> KeyRecord:
    keys = request.headers.getlist("x-api-key")
    if not keys:
        raise _unauthorized()
    now = services.clock()
    settings = services.settings
    if services.index.age(now) > settings.key_index_max_age_seconds:
        raise TransientError(
            ErrorCode.UNAVAILABLE, "Try again in a few seconds: keys cannot be verified right now."
        )
    if services.tenant_index.age(now) > settings.tenant_index_max_age_seconds:
        raise TransientError(
            ErrorCode.UNAVAILABLE, "Try again in a few seconds: tenants' states cannot be read right now."
        )
    # two headers do not say who calls; they take the steps of one key that is none
    record = services.verifier.verify(keys[0] if len(keys) == 1 else "", now)
    if record is None:
        raise _unauthorized()
    return record


def _unauthorized() -> PermanentError:
    return PermanentError(
        ErrorCode.UNAUTHORIZED,
        "Send a valid key in the header X-API-Key: it is missing, unknown, revoked or expired.",
    )
