"""Cloud Storage as far as Dagster uses it: one bucket, objects put, read, listed and deleted, all in memory.

The clients are Google's own, which STORAGE_EMULATOR_HOST brings here.
"""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override
from urllib.parse import parse_qs, quote, unquote, urlsplit

import google_crc32c

_OBJECTS = "/o"


class Bucket(ThreadingHTTPServer):
    """The server; `objects` are the contents by name."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name = name
        self.objects: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bucket

    def do_GET(self) -> None:
        path, asked = self._split()
        if path.endswith(f"/b/{self.server.name}"):
            self._answer({"name": self.server.name})
        elif path.endswith(_OBJECTS):
            prefix = asked.get("prefix", [""])[0]
            found = [name for name in sorted(self.server.objects) if name.startswith(prefix)]
            self._answer({"items": [self._described(name) for name in found]})
        elif (content := self.server.objects.get(self._object(path))) is None:
            self._answer({"error": {"code": 404, "message": "no such thing"}}, 404)
        elif asked.get("alt") == ["media"]:
            self._send(content, "application/octet-stream")
        else:
            self._answer(self._described(self._object(path)))

    def do_POST(self) -> None:
        """An object in one piece beside its description, or the beginning of one whose content comes by PUT."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._split()[1].get("uploadType") == ["resumable"]:
            name = quote(json.loads(body)["name"], safe="")
            self._send(b"", "text/plain", location=f"{self.server.url}/upload/session?name={name}")
            return
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = message_from_bytes(head + body).get_payload()
        assert isinstance(parts, list)
        described, content = (part.get_payload(decode=True) for part in parts if isinstance(part, Message))
        assert isinstance(described, bytes)
        assert isinstance(content, bytes)
        self._keep(json.loads(described)["name"], content)

    def do_PUT(self) -> None:
        (name,) = self._split()[1]["name"]
        self._keep(name, self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def do_DELETE(self) -> None:
        self.server.objects.pop(self._object(self._split()[0]), None)
        self._send(b"", "text/plain", 204)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        del format, args

    def _keep(self, name: str, content: bytes) -> None:
        self.server.objects[name] = content
        self._answer(self._described(name))

    def _split(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return parts.path, parse_qs(parts.query)

    def _object(self, path: str) -> str:
        return unquote(path.partition(f"/b/{self.server.name}/o/")[2])

    def _described(self, name: str) -> dict[str, str]:
        content = self.server.objects[name]
        checksum = base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()
        described = {"name": name, "bucket": self.server.name, "generation": "1"}
        return {**described, "size": str(len(content)), "crc32c": checksum}

    def _answer(self, body: dict[str, Any], status: int = 200) -> None:
        self._send(json.dumps(body).encode(), "application/json", status)

    def _send(self, body: bytes, kind: str, status: int = 200, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving_bucket(name: str) -> Iterator[Bucket]:
    """The bucket of this name, served until the block is left."""
    with Bucket(name) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
