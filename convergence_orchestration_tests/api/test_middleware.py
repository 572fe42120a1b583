"""The middleware by itself, around small applications."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.testing import capture_logs

from convergence_orchestration.api.body_limit import BodyLimit
from convergence_orchestration.api.context import RequestContexts, context_of, loggable_path, new_context
from convergence_orchestration.api.failures import Defects
from convergence_orchestration_tests.api.platform import assert_is_error

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def works(request: Request) -> Response:
    context = context_of(request.scope)
    context.tenant_id = "acmecorp"
    context.headers["RateLimit-Limit"] = "5"
    return PlainTextResponse("fine", headers={"Cache-Control": "max-age=60"})


async def breaks(_: Request) -> Response:
    raise RuntimeError("s3cret detail")


async def breaks_in_the_middle(_: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"some"
        raise RuntimeError("too late")

    return StreamingResponse(pieces())


async def echoes(request: Request) -> Response:
    return Response(str(len(await request.body())))


observed: list[tuple[str, str, int]] = []


def wrapped(*inner: Middleware) -> Starlette:
    def observe(method: str, route: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        observed.append((method, route, status))

    observed.clear()
    return Starlette(
        routes=[
            Route("/api/works", works),
            Route("/breaks", breaks),
            Route("/breaks-in-the-middle", breaks_in_the_middle),
            Route("/echoes", echoes, methods=["POST"]),
        ],
        middleware=[Middleware(RequestContexts, observe=observe), *inner],
    )


def ask(app: ASGIApp, method: str, path: str, **request: Any) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
            return await http.request(method, path, **request)

    return anyio.run(asked)


def play(app: ASGIApp, scope: Scope) -> None:
    """One scope, of which nothing is received and nothing sent."""

    async def played() -> None:
        async def receive() -> Message:
            raise AssertionError("nothing to receive")

        async def send(message: Message) -> None:
            raise AssertionError(f"nothing to send, not {message}")

        await app(scope, receive, send)

    anyio.run(played)


def test_an_answer_carries_the_contexts_headers_and_keeps_its_own() -> None:
    answer = ask(wrapped(), "GET", "/api/works")

    assert answer.headers["RateLimit-Limit"] == "5"
    assert answer.headers["Cache-Control"] == "max-age=60"
    assert len(answer.headers["X-Request-ID"]) == 32
    assert observed == [("GET", "/api/works", 200)]


def test_the_log_line_names_the_tenant() -> None:
    with capture_logs() as lines:
        ask(wrapped(), "GET", "/api/works", headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})

    assert lines[0]["tenant_id"] == "acmecorp"
    assert lines[0]["trace"] == TRACE


def test_a_defect_is_a_logged_500_in_our_shape() -> None:
    with capture_logs() as lines:
        answer = ask(wrapped(Middleware(Defects)), "GET", "/breaks")

    assert_is_error(answer, 500, "internal")
    assert "s3cret" not in answer.text
    assert [line["log_level"] for line in lines] == ["error", "info"]
    assert lines[0]["kind"] == "RuntimeError"
    assert observed == [("GET", "/breaks", 500)]


def test_a_defect_in_the_middle_of_an_answer_ends_it() -> None:
    with pytest.raises(RuntimeError, match="too late"):
        ask(wrapped(Middleware(Defects)), "GET", "/breaks-in-the-middle")


def test_a_caller_who_leaves_before_an_answer_is_counted_as_such() -> None:
    async def never_answers(_scope: Scope, _receive: Receive, _send: Send) -> None:
        """The caller is gone."""

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    seen: list[int] = []
    contexts = RequestContexts(never_answers, lambda _method, _route, status, _seconds: seen.append(status))

    play(contexts, scope)

    assert seen == [499]


LAYERS: list[Callable[[ASGIApp], ASGIApp]] = [
    lambda inner: RequestContexts(inner, lambda *_: None),
    lambda inner: BodyLimit(inner, 10),
    Defects,
]


@pytest.mark.parametrize("layer", LAYERS)
def test_what_is_not_http_passes_untouched(layer: Callable[[ASGIApp], ASGIApp]) -> None:
    passed: list[str] = []

    async def inner(scope: Scope, _receive: Receive, _send: Send) -> None:
        passed.append(scope["type"])

    play(layer(inner), {"type": "lifespan"})

    assert passed == ["lifespan"]


async def in_pieces(size: int, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"a" * size


def test_a_body_of_just_the_limit_passes() -> None:
    app = wrapped(Middleware(BodyLimit, limit=10))

    assert ask(app, "POST", "/echoes", content=b"a" * 10).text == "10"
    assert ask(app, "POST", "/echoes", content=in_pieces(5, 2)).text == "10"


def test_a_length_that_is_no_number_is_counted_instead() -> None:
    app = wrapped(Middleware(BodyLimit, limit=10))

    answer = ask(app, "POST", "/echoes", content=b"a" * 11, headers={"Content-Length": "many"})

    assert answer.status_code == 413


@pytest.mark.parametrize("length", ["11", "9" * 30])
def test_a_length_over_the_limit_is_refused_before_anything_is_read(length: str) -> None:
    app = wrapped(Middleware(BodyLimit, limit=10))

    answer = ask(app, "POST", "/echoes", content=in_pieces(1, 1), headers={"Content-Length": length})

    assert_is_error(answer, 413, "body_too_large")
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ({"x-cloud-trace-context": f"{TRACE}/123;o=1"}, TRACE),
        ({"x-cloud-trace-context": TRACE.upper()}, TRACE),
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, TRACE),
        ({"x-cloud-trace-context": "nonsense", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, TRACE),
        ({"x-cloud-trace-context": "nonsense"}, None),
        ({}, None),
    ],
)
def test_the_trace_is_taken_from_whichever_header_has_one(headers: dict[str, str], trace: str | None) -> None:
    assert new_context(Headers(headers)).trace == trace


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/api/v1/admin/api-keys/cvg_dev_abc", "/api/v1/admin/api-keys/cvg_..."),
        ("/api/v1/admin/api-keys/cvgadm_dev_abc/x", "/api/v1/admin/api-keys/cvgadm_.../x"),
        ("/api/v1/admin/api-keys/admin_abc", "/api/v1/admin/api-keys/admin_..."),
        ("/api/v1/admin/api-keys/" + "0f" * 32, "/api/v1/admin/api-keys/0f0f0f0f..."),
        ("/api/v1/admin/api-keys/key_abc", "/api/v1/admin/api-keys/key_abc"),
        ("/api/v1/admin/tenants/acmecorp", "/api/v1/admin/tenants/acmecorp"),
    ],
)
def test_a_path_is_logged_without_what_could_be_a_key(path: str, logged: str) -> None:
    assert loggable_path(path) == logged
