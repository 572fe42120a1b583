"""Of two jobs that are sent under one name at the same moment, one runs and the other is told that it exists.

The real service answers the loser 409. local-bigquery runs one of them too, but tells the other with 400 which
constraint of its own database was violated. What runs once by its job's name must get the 409.
"""

import json

from convergence_orchestration.local_gcp.asgi_faults import Application, Message, Receive, Send

_COLLIDED = b"violates primary key constraint"
_HTTP_BAD_REQUEST = 400
_HTTP_CONFLICT = 409
_EXISTS = "Already Exists: Job"


class OneJobAName:
    """Wraps local-bigquery's application: a `jobs.insert` whose name was taken a moment ago is answered 409."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer as the wrapped application does."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith("/jobs"):
            await self._application(scope, receive, send)
            return
        answered: list[Message] = []

        async def keep(message: Message) -> None:
            answered.append(message)

        await self._application(scope, receive, keep)
        for message in _mended(answered):
            await send(message)


def _mended(answered: list[Message]) -> list[Message]:
    body = b"".join(message.get("body", b"") for message in answered)
    if answered[0]["status"] != _HTTP_BAD_REQUEST or _COLLIDED not in body:
        return answered
    item = {"message": _EXISTS, "domain": "global", "reason": "duplicate"}
    error = {"code": _HTTP_CONFLICT, "message": _EXISTS, "errors": [item], "status": "ALREADY_EXISTS"}
    content = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    return [
        {"type": "http.response.start", "status": _HTTP_CONFLICT, "headers": headers},
        {"type": "http.response.body", "body": content},
    ]
