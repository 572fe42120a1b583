"""The largest head of a request that is read: its first line and all its headers together.

What belongs here: counting bytes while the server's parser keeps them. uvicorn's own keeps a header of any length in
memory; what is longer than allowed gets 431, and the rest of it is thrown away as it comes.
"""

import json
import uuid
from http import HTTPStatus
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from convergence_orchestration.errors import ErrorCode

MAX_HEAD_BYTES: Final = 65_536
"""About what Google's and Envoy's proxies in front of the API let through, 60 to 64 KiB."""

LINGER_SECONDS: Final = 2.0
"""So long a refused caller may go on sending before it is cut off: who is cut off at once does not read the answer."""


class LimitedHead(HttpToolsProtocol):
    """uvicorn's protocol; what the parser keeps without handing it on is bounded, trailers included.

    The bound is a read of the socket (256 KiB) more than the limit: bytes are counted by the read.
    """

    _kept = 0
    _has_moved_on = False
    _is_refused = False

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the caller was refused."""
        if self._is_refused:
            return
        self._has_moved_on = False
        super().data_received(data)
        self._kept = 0 if self._has_moved_on else self._kept + len(data)
        if self._kept > MAX_HEAD_BYTES:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"Send shorter headers: at most {MAX_HEAD_BYTES} bytes are read.",
            )

    def on_message_begin(self) -> None:
        """A head begins."""
        self._has_moved_on = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is complete."""
        self._has_moved_on = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of a body, which `BodyLimit` counts."""
        self._has_moved_on = True
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 see below
        """Answer what is no HTTP; uvicorn's own words are replaced."""
        self._refuse(HTTPStatus.BAD_REQUEST, "Send a well-formed HTTP request: this one could not be read.")

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        if self._is_refused:
            return
        self._is_refused = True
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if not is_answering:
            self.transport.write(_refusal(status, message, uuid.uuid4().hex))
        self.loop.call_later(LINGER_SECONDS, self.transport.close)


def _refusal(status: HTTPStatus, message: str, request_id: str) -> bytes:
    """The whole answer, in the shape of every error: no application is there yet to give it."""
    error = {"code": ErrorCode.INVALID_ARGUMENT, "message": message, "request_id": request_id}
    body = json.dumps({"error": error}).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        f"x-request-id: {request_id}",
        "connection: close",
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
