"""The largest request body that is accepted, whether or not its length was told beforehand.

What belongs here: counting bytes. The answer's shape is `failures.py`'s.
"""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from convergence_orchestration.api.failures import answer
from convergence_orchestration.errors import ErrorCode


class BodyLimit:
    """ASGI middleware: 413 for a body of more than `limit` bytes, by Content-Length at once, else when they arrive."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get("content-length", "")
        if told.isascii() and told.isdecimal() and int(told[:20]) > self._limit:
            # the connection is closed, or the server would read the rest of the body to keep it
            refusal = answer(scope, ErrorCode.BODY_TOO_LARGE, self._message, headers={"Connection": "close"})
            await refusal(scope, receive, send)
            return
        received = 0

        async def receive_and_count() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self._limit:
                    raise HTTPException(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._message, {"Connection": "close"}
                    )
            return message

        await self._app(scope, receive_and_count, send)

    @property
    def _message(self) -> str:
        return f"Send a smaller body: at most {self._limit} bytes are accepted."
