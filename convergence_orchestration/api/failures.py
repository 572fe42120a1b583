"""Every error as `{"error": {"code", "message", "request_id"}}`, whoever raised it.

What belongs here: turning exceptions into answers. No answer ever quotes what was sent: it may have been a secret.
"""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from convergence_orchestration.api.context import context_of
from convergence_orchestration.api.statuses import STATUS
from convergence_orchestration.errors import ConvergenceError, ErrorCode, TransientError
from convergence_orchestration.logs import logger

_log = logger(__name__)

_BY_STATUS: dict[int, tuple[ErrorCode, str]] = {
    400: (ErrorCode.MALFORMED_JSON, "Send a body that can be read to its end."),
    404: (
        ErrorCode.NOT_FOUND,
        "Check the path: nothing is served there; the calls are listed at /docs and in the README.",
    ),
    405: (
        ErrorCode.METHOD_NOT_ALLOWED,
        "Use one of the methods of the Allow header: this path has no such method.",
    ),
    413: (ErrorCode.BODY_TOO_LARGE, "Send a smaller body."),
}
_DEFECT = "Try again, and report this defect with its request id if it stays."
_TENANT_ID_CODES = {ErrorCode.INVALID_TENANT_ID, ErrorCode.RESERVED_TENANT_ID}
_SENTENCES = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this call",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object, sent with Content-Type: application/json",
    "dict_type": "must be a JSON object, sent with Content-Type: application/json",
}


def add_error_answers(app: FastAPI) -> None:
    """Make every exception which a call can raise an answer of our shape."""
    app.add_exception_handler(ConvergenceError, _of_ours)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_the_framework)


class Defects:
    """ASGI middleware: an exception which nothing else has caught becomes a logged 500 in our shape."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception as error:  # the last resort: everything expected is caught further in
            if started:
                raise
            _log.exception("A request failed in a way that nobody expected", kind=type(error).__name__)
            await answer(scope, ErrorCode.INTERNAL, _DEFECT)(scope, receive, send)


def answer(
    scope: Scope,
    code: ErrorCode,
    message: str,
    details: Mapping[str, object] | Sequence[Mapping[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error's answer."""
    context = context_of(scope)
    context.error_code = str(code)
    error: dict[str, object] = {
        "code": str(code),
        "message": message,
        "request_id": context.request_id,
    }
    if details:
        error["details"] = details
    return JSONResponse({"error": error}, STATUS[code], dict(headers or {}))


def field_problems(problems: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What is wrong with each field, of pydantic's errors whose places begin with `body`, `query` or the like."""
    return [{"field": _field(problem["loc"]), "message": _sentence(problem)} for problem in problems]


def refused_field(error: ConvergenceError) -> str | None:
    """The field that the error is about, if it is about one."""
    if error.code in _TENANT_ID_CODES:
        return "tenant_id"
    field = error.details.get("field")
    return field if isinstance(field, str) else None


def code_of_validation(error: RequestValidationError) -> ErrorCode:
    """The code that a request which is not valid is answered with."""
    is_json = all(problem["type"] != "json_invalid" for problem in error.errors())
    return ErrorCode.INVALID_ARGUMENT if is_json else ErrorCode.MALFORMED_JSON


def code_of_framework(error: HTTPException) -> ErrorCode:
    """The code that an exception of the framework is answered with."""
    return _BY_STATUS.get(error.status_code, (ErrorCode.INTERNAL, _DEFECT))[0]


async def _of_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, ConvergenceError)  # noqa: S101 what it is registered for
    status = STATUS[error.code]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("A request failed", code=str(error.code), reason=error.message, details=error.details)
    headers = {}
    if isinstance(error, TransientError):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'ApiKey realm="tenants", header="X-API-Key"'
    return answer(request.scope, error.code, error.message, _details(error, status), headers)


async def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 what it is registered for
    problems = error.errors()
    if code_of_validation(error) is ErrorCode.MALFORMED_JSON:
        return answer(
            request.scope,
            ErrorCode.MALFORMED_JSON,
            "Send well-formed JSON: the body is none.",
            _malformed(problems),
        )
    details = field_problems(problems)
    named = ", ".join(dict.fromkeys(detail["field"] for detail in details))
    return answer(
        request.scope,
        ErrorCode.INVALID_ARGUMENT,
        f"Correct the request: {named} not valid, see details.",
        details,
    )


async def _of_the_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 what it is registered for
    code, message = _BY_STATUS.get(error.status_code, (ErrorCode.INTERNAL, _DEFECT))
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        message = error.detail  # BodyLimit's own sentence
    return answer(request.scope, code, message, headers=error.headers)


def _details(error: ConvergenceError, status: int) -> Mapping[str, object] | Sequence[Mapping[str, str]]:
    """Refused fields in the shape of every 422, further facts for any other error."""
    if status != HTTPStatus.UNPROCESSABLE_ENTITY:
        return error.details
    fields = error.details.get("fields")
    if isinstance(fields, list):
        return fields
    field = refused_field(error)
    return [{"field": field, "message": error.message}] if field else error.details


def _malformed(problems: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [
        {"field": "body", "message": f"stops being JSON at character {problem['loc'][-1]}"}
        for problem in problems
        if problem["type"] == "json_invalid"
    ]


def _field(location: Sequence[str | int]) -> str:
    """The dotted name of a field; the sender chose an unknown field's name, so it is told cut short."""
    inside = [str(part) for part in location[1:]]
    return ".".join(inside)[:100] or str(location[0])


def _sentence(problem: Mapping[str, Any]) -> str:
    """What is wrong with a field, without its value: pydantic's own messages name only what was expected."""
    return _SENTENCES.get(problem["type"]) or str(problem["msg"]).removeprefix("Value error, ")
