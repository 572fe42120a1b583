"""A thin ASGI wrapper: faults and a readiness path in front of an application that knows of neither.

What belongs here: turning a `Fault` into an HTTP answer with the body of Google's JSON APIs. What is served behind it
is none of its business; local-bigquery is.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from convergence_orchestration.local_gcp.codes import Code
from convergence_orchestration.local_gcp.faults import Fault, Faults
from convergence_orchestration.local_gcp.killing import kill

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Application = Callable[[Message, Receive, Send], Awaitable[None]]

HEALTH_PATH = "/healthz"
_REASONS = {
    "NOT_FOUND": "notFound",
    "PERMISSION_DENIED": "accessDenied",
    "RESOURCE_EXHAUSTED": "rateLimitExceeded",
}


class FaultyApplication:
    """`application` with the faults of a file; `GET /healthz` answers 200 and never meets a fault."""

    def __init__(self, application: Application, faults: Faults) -> None:
        self._application = application
        self._faults = faults

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI says."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        if scope["path"] == HEALTH_PATH:
            await _answer(send, 200, {"status": "ok"})
            return
        if self._faults.look_into_bodies:
            body = await _whole_body(receive)
            receive = _told_again(body)
        else:
            body = b""
        fault = self._faults.meet(f"{scope['method']} {scope['path']}", body=body)
        if fault.delay_seconds:
            await asyncio.sleep(fault.delay_seconds)
        if fault.kill is not None:
            if fault.is_after:
                await self._application(scope, receive, _unheard)
            if fault.kill == "emulator":
                self._faults.note_death(fault)
            kill(fault.kill, scope)
            await _answer(send, 503, {})  # to nobody
            return
        if fault.code is None:
            await self._application(scope, receive, send)
            return
        await _read_to_the_end(receive)
        await _answer(send, fault.code.http_status, _body(fault, fault.code))


async def _whole_body(receive: Receive) -> bytes:
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body


def _told_again(body: bytes) -> Receive:
    """What gives an application the body that was read already; it never says that the caller left."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        for message in messages:
            return message
        return await asyncio.Future()

    return receive


async def _unheard(_message: Message) -> None:
    """Nobody hears the answer."""


async def _read_to_the_end(receive: Receive) -> None:
    # An answer before the body was read would break the connection that the client means to use again.
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass


def _body(fault: Fault, code: Code) -> dict[str, object]:
    reason = fault.reason or _REASONS.get(code.name, "backendError")
    item = {"message": fault.message, "domain": "global", "reason": reason}
    error = {"code": code.http_status, "message": fault.message, "errors": [item], "status": code.name}
    return {"error": error}


async def _answer(send: Send, status: int, content: dict[str, object]) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
