"""A small HTTP/1.1 client over raw sockets: it sends any bytes as a header and costs far less than the server it asks.

What belongs here: sending whole requests as bytes and reading statuses and bodies. It reads answers with a Content-Length, as
all of ours are.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Self

PATIENCE = 30.0


def request(path: str, *headers: tuple[bytes, bytes], method: str = "GET") -> bytes:
    """A request without a body."""
    lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: localhost"]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One kept-alive connection; one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._closed = asyncio.Event()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self.is_open = False

    @classmethod
    async def to(cls, port: int) -> Self:
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    async def ask(self, content: bytes) -> tuple[int, bytes]:
        """Status and whole answer; status 0 if the connection was closed without one."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        if not self.is_open:
            return 0, b""
        self._transport.write(content)
        return await self._answer

    async def close(self) -> None:
        """Close it, and come back when it is closed; what was not sent yet is not sent."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()
            await self._closed.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.is_open = transport, True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 asyncio's signature
        self.is_open = False
        self._closed.set()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((0, b""))

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _content_length(self._received[:end])
        if len(self._received) < end + 4 + length:
            return
        answer, self._received = self._received, b""
        if b"\r\nconnection: close" in answer[:end].lower():
            self.is_open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((int(answer[9:12]), answer))


def _content_length(head: bytes) -> int:
    place = head.lower().find(b"\r\ncontent-length:")
    return int(head[place + 17 :].split(b"\r\n", 1)[0]) if place >= 0 else 0


@dataclass
class Load:
    """Many connections that ask one thing after another; `statuses` counts what was answered."""

    port: int
    statuses: dict[int, int] = field(default_factory=dict)
    done: int = 0

    async def run(self, requests: list[bytes], seconds: float, connections: int = 16) -> float:
        """Ask for so many seconds, the requests in turns; answers a second."""
        opened = [await Connection.to(self.port) for _ in range(connections)]
        began = time.perf_counter()
        until = began + seconds
        await asyncio.gather(
            *(
                self._ask(each, requests, number * len(requests) // connections, until)
                for number, each in enumerate(opened)
            )
        )
        lasted = time.perf_counter() - began
        for connection in opened:
            await connection.close()
        return self.done / lasted

    async def _ask(self, connection: Connection, requests: list[bytes], place: int, until: float) -> None:
        while time.perf_counter() < until:
            status, _ = await connection.ask(requests[place % len(requests)])
            self.statuses[status] = self.statuses.get(status, 0) + 1
            self.done += 1
            place += 1
