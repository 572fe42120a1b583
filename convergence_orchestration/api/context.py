"""What is known about one request on its way: its id, its trace, its tenant, the headers its answer will carry.

What belongs here: the outermost middleware, which gives each request its id, answers with it, and writes the one
log line and the metrics of the request. Nothing here reads a body, a query string or a header's secret.
"""

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from convergence_orchestration import tracing
from convergence_orchestration.logs import logger

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_CLOUD_TRACE = re.compile(r"(?P<trace>[0-9a-fA-F]{32})(/[0-9]+)?(;o=[01])?")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_KEY = re.compile(r"cvg(?:adm)?_|admin_")
_SECRET_SEGMENT = re.compile(r"(?<=/)(cvg(?:adm)?_|admin_|[0-9a-fA-F]{8}(?=[0-9a-fA-F]{56}(?:/|$)))[^/]*")
_UNMATCHED = "unmatched"
_log = logger(__name__)

Observer = Callable[[str, str, int, float], None]
"""Called once per request with method, route template, status and seconds."""


@dataclass
class RequestContext:
    """One request's own facts; `headers` are added to its answer, whatever the answer is."""

    request_id: str
    trace: str | None = None
    tenant_id: str | None = None
    error_code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


def context_of(scope: Scope) -> RequestContext:
    """The context of the request whose ASGI scope this is."""
    context: RequestContext = scope["convergence.context"]
    return context


class RequestContexts:
    """ASGI middleware, the outermost: see the module."""

    def __init__(
        self, app: ASGIApp, observe: Observer, observe_error: Callable[[str], None] = lambda _: None
    ) -> None:
        self._app = app
        self._observe = observe
        self._observe_error = observe_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        with tracing.request_span(headers.get("traceparent", "")) as span:
            context = new_context(headers)
            context.trace = tracing.trace_id() or context.trace
            scope["convergence.context"] = context
            await self._answer(scope, receive, send, context)
            if span is not None:
                span.update_name(f"{scope['method']} {route_template(scope)}")
                span.set_attribute("convergence.request_id", context.request_id)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, context: RequestContext) -> None:
        status = 499  # nginx's word for a caller who left before there was an answer
        started = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_headers(message, scope["path"], context)]
            await send(message)

        with structlog.contextvars.bound_contextvars(**_bound(context)):
            try:
                await self._app(scope, receive, send_with_headers)
            finally:
                self._tell(scope, context, status, time.perf_counter() - started)

    def _tell(self, scope: Scope, context: RequestContext, status: int, seconds: float) -> None:
        self._observe(scope["method"], route_template(scope), status, seconds)
        failed = {}
        if context.error_code is not None:
            self._observe_error(context.error_code)
            failed["error_code"] = context.error_code
        _log.info(
            "Request completed",
            method=scope["method"],
            path=loggable_path(scope["path"]),
            status_code=status,
            duration_ms=round(seconds * 1000, 2),
            tenant_id=context.tenant_id,
            trace=context.trace,
            **failed,
        )


def _bound(context: RequestContext) -> dict[str, str]:
    """What each line of the request says, and `api/launching.py` hands on to the runs that it launches."""
    ids = {"request_id": context.request_id, "trace": context.trace}
    return {name: value for name, value in ids.items() if value}


def new_context(headers: Headers) -> RequestContext:
    """A context from a request's headers: the caller's id if it is a plain token and no key, else a new one."""
    sent = headers.get("x-request-id", "")
    is_usable = _REQUEST_ID.fullmatch(sent) and not _KEY.match(sent)
    return RequestContext(sent if is_usable else uuid.uuid4().hex, _trace(headers))


def route_template(scope: Scope) -> str:
    """The path of the route that answered, with its parameters' names; never what a caller made up."""
    path: str = getattr(scope.get("route"), "path", _UNMATCHED)
    return path


def loggable_path(path: str) -> str:
    """The path with whatever could be a key or a key's hash cut down to its beginning."""
    return _SECRET_SEGMENT.sub(r"\1...", path)


def _trace(headers: Headers) -> str | None:
    cloud = _CLOUD_TRACE.fullmatch(headers.get("x-cloud-trace-context", ""))
    found = cloud or _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return found["trace"].lower() if found else None


def _headers(message: Message, path: str, context: RequestContext) -> list[tuple[bytes, bytes]]:
    """What each answer carries besides its own headers, none of which has these names."""
    added = [(b"x-request-id", context.request_id.encode()), (b"x-content-type-options", b"nosniff")]
    if path.startswith("/api/") and not any(name == b"cache-control" for name, _ in message["headers"]):
        added.append((b"cache-control", b"no-store"))
    added += [(name.lower().encode(), value.encode()) for name, value in context.headers.items()]
    return added
