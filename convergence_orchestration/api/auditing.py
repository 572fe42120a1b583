"""Each administrators' call in the audit log: a row before anything happens, and one before the answer is sent.

What belongs here: when which row is written, and what a call answers whose row cannot be. Calls that change something have
both rows, calls that read have the second. A call without its row fails.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from convergence_orchestration.api.audit_actions import (
    BOOTSTRAP,
    Action,
    action_of,
    ids_in_json,
    ids_in_path,
    shown_path,
    target_of,
)
from convergence_orchestration.api.audit_writing import UNKNOWN
from convergence_orchestration.api.client_address import address_of
from convergence_orchestration.api.context import context_of
from convergence_orchestration.api.failures import code_of_framework, code_of_validation
from convergence_orchestration.api.services import Services, services_of
from convergence_orchestration.api.statuses import STATUS
from convergence_orchestration.audit.model import Actor, ActorKind, AuditEntry, Outcome
from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.logs import logger

_log = logger(__name__)

CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
"""Methods of calls that change something: these are recorded before they begin as well."""


@asynccontextmanager
async def refusals_noted(route_name: str, request: Request) -> AsyncIterator[None]:
    """A caller who is refused inside is recorded as unknown, without waiting for it."""
    try:
        yield
    except ConvergenceError as error:
        call = _Call.of(route_name, request, UNKNOWN)
        ended = call.entry(_outcome(STATUS[error.code]), {}, STATUS[error.code], error.code)
        call.services.audit.later.note(replace(ended, recorded_at=call.services.clock()))
        raise


async def answered_and_audited(
    route_name: str, request: Request, administrator: str, answer: Callable[[Request], Awaitable[Response]]
) -> Response:
    """What `answer` answers, once that is recorded.

    Raises:
        TransientError: UNAVAILABLE: it could not be recorded. Nothing was done, or it says that it was perhaps done.
        PermanentError: NOT_BOOTSTRAPPED: there is no log yet, and the call is not the bootstrap.
        Exception: what `answer` raises, once that is recorded.
    """
    call = _Call.of(route_name, request, Actor(ActorKind.ADMIN_KEY, administrator))
    if request.method in CHANGING:
        await call.begin()
    try:
        response = await answer(request)
    except Exception as error:
        status, code = _status_of(error)
        await call.end(status, code, call.ids_of(error))
        raise
    is_told = request.method in CHANGING and hasattr(response, "body")
    await call.end(response.status_code, None, ids_in_json(bytes(response.body)) if is_told else {})
    return response


@dataclass
class _Call:
    """One call on its way: what is known of it, and what could not be recorded yet because there is no log."""

    action: Action
    request: Request
    services: Services
    actor: Actor
    ids: dict[str, str]
    held: tuple[AuditEntry, ...] = ()
    is_bootstrap: bool = False

    @classmethod
    def of(cls, route_name: str, request: Request, actor: Actor) -> "_Call":
        return cls(
            action_of(route_name),
            request,
            services_of(request),
            actor,
            ids_in_path(request.path_params),
            is_bootstrap=route_name == BOOTSTRAP,
        )

    async def begin(self) -> None:
        """Record that it begins; nothing has happened yet."""
        self.ids = await self._ids_in_body() | self.ids
        attempted = replace(self.entry(Outcome.ATTEMPTED, self.ids), recorded_at=self.services.clock())
        try:
            await self.services.audit.record(attempted)
        except PermanentError as error:
            if error.code is not ErrorCode.NOT_FOUND:
                raise self._not_recorded(
                    "Send it again in a few seconds: nothing was done.", error
                ) from error
            if not self.is_bootstrap:
                raise _not_bootstrapped() from error
            self.held = (attempted,)
        except TransientError as error:
            raise self._not_recorded("Send it again in a few seconds: nothing was done.", error) from error

    async def end(self, status: int, code: ErrorCode | None, ids: dict[str, str]) -> None:
        """Record how it ended, before anybody is told."""
        ended = self.entry(_outcome(status), ids, status, code)
        try:
            await self.services.audit.record(*self.held, ended)
        except ConvergenceError as error:
            if error.code is not ErrorCode.NOT_FOUND:
                raise self._not_recorded(self._what_to_do(), error) from error
            self._end_without_a_log(replace(ended, recorded_at=self.services.clock()), error)

    def _end_without_a_log(self, ended: AuditEntry, error: ConvergenceError) -> None:
        if self.is_bootstrap and ended.status_code == HTTPStatus.OK:
            raise self._not_recorded(self._what_to_do(), error) from error
        if self.is_bootstrap:  # its run goes on, or it failed: its rows are written as soon as there is a log
            for entry in (*self.held, ended):
                self.services.audit.later.note(entry)
        elif ended.error_code is not ErrorCode.NOT_BOOTSTRAPPED:
            raise _not_bootstrapped() from error

    def _not_recorded(self, what_to_do: str, error: ConvergenceError) -> TransientError:
        self.services.metrics.audit_failure()
        return _not_recorded(what_to_do, error)

    def _what_to_do(self) -> str:
        if self.request.method not in CHANGING:
            return "Send it again in a few seconds."
        return "Send the same call again in a few seconds, with the same Idempotency-Key if it had one: it was perhaps done."

    async def _ids_in_body(self) -> dict[str, str]:
        """The tenant that the body names. The framework keeps the body for the call; one that is too long ends it here."""
        try:
            found = ids_in_json(await self.request.body())
        except HTTPException as error:
            await self.end(error.status_code, code_of_framework(error), {})
            raise
        return {name: value for name, value in found.items() if name == "tenant_id"}

    def ids_of(self, error: Exception) -> dict[str, str]:
        """The ids that an error's details name."""
        return ids_in_path(error.details) if isinstance(error, ConvergenceError) else {}

    def entry(
        self, outcome: Outcome, ids: dict[str, str], status: int | None = None, code: ErrorCode | None = None
    ) -> AuditEntry:
        """The row about this call."""
        context, known = context_of(self.request.scope), {**ids, **self.ids}
        others: dict[str, Any] = {
            name: value
            for name, value in known.items()
            if name not in {"tenant_id", "run_id", self.action.id}
        }
        return AuditEntry(
            action=self.action.name,
            actor=self.actor,
            outcome=outcome,
            target=target_of(self.action, known),
            tenant_id=known.get("tenant_id") or context.tenant_id,
            error_code=code,
            method=self.request.method,
            path=shown_path(self.request.scope["path"]),
            status_code=status,
            source_address=address_of(self.request, self.services.settings.trusted_proxies),
            details=others,
            request_id=context.request_id,
            run_id=known.get("run_id"),
        )


def _outcome(status: int) -> Outcome:
    if status < HTTPStatus.BAD_REQUEST:
        return Outcome.SUCCEEDED
    return Outcome.REFUSED if status < HTTPStatus.INTERNAL_SERVER_ERROR else Outcome.FAILED


def _status_of(error: Exception) -> tuple[int, ErrorCode]:
    """What the error will be answered with."""
    if isinstance(error, ConvergenceError):
        code = error.code
    elif isinstance(error, RequestValidationError):
        code = code_of_validation(error)
    elif isinstance(error, HTTPException):
        code = code_of_framework(error)
    else:
        code = ErrorCode.INTERNAL
    return STATUS[code], code


def _not_recorded(what_to_do: str, error: ConvergenceError) -> TransientError:
    """The answer; what kept the row from being written is told by its code, and in full in the log."""
    cause = error.__cause__ if isinstance(error.__cause__, ConvergenceError) else error
    _log.error("The audit log could not be written.", code=str(cause.code), reason=cause.message)
    return TransientError(
        ErrorCode.UNAVAILABLE,
        f"{what_to_do} The audit log could not be written, and no call is answered without its row there.",
        {"cause": str(cause.code)},
    )


def _not_bootstrapped() -> PermanentError:
    return PermanentError(
        ErrorCode.NOT_BOOTSTRAPPED,
        "Bootstrap the platform first: POST /api/v1/admin/bootstrap, or launch the job `bootstrap` in Dagster.",
    )
