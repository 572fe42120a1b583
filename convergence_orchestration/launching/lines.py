"""One JSON object a line over a connected socket: all that the launcher, the server and the zygotes say to each other."""

import json
import socket
from collections.abc import Mapping
from typing import Any

_CHUNK = 65_536
_LONGEST_LINE = 8_000_000
"""Bytes; a launch with its environment takes about 50,000."""


class Lines:
    """A connected socket's messages."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""

    def fileno(self) -> int:
        """The descriptor, for selectors."""
        return self._connection.fileno()

    def send(self, message: Mapping[str, object]) -> None:
        """Send one message whole; OSError if the other side is gone or does not read."""
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]] | None:
        """The messages completed by what arrived, after waiting for something to arrive; None at the end.

        Raises:
            OSError: the connection broke, or nothing came within its timeout.
            ValueError: what came is no JSON, or has no end.
        """
        chunk = self._connection.recv(_CHUNK)
        if not chunk:
            return None
        *lines, self._received = (self._received + chunk).split(b"\n")
        if len(self._received) > _LONGEST_LINE:
            raise ValueError("A message has no end.")
        return [json.loads(line) for line in lines]

    def answer(self) -> dict[str, Any]:
        """The next message; ConnectionError if the other side ends first."""
        while True:
            messages = self.receive()
            if messages is None:
                raise ConnectionResetError("The other side ended before it answered.")
            if messages:
                return messages[0]

    def close(self) -> None:
        """End the conversation."""
        self._connection.close()
