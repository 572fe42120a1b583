"""A webhook: a small HTTP server that keeps what it is told, and can be out of order, slow, or gone."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from convergence_orchestration_tests.emulators import free_port


@dataclass
class Receiver:
    """What was told, in order; while `is_down` every message is refused, and each answer takes `seconds`."""

    port: int
    told: list[dict[str, Any]] = field(default_factory=list)
    is_down: bool = False
    seconds: float = 0.0

    @property
    def url(self) -> str:
        """As apprise has it."""
        return f"json://127.0.0.1:{self.port}/alerts?token=secret-of-the-webhook"

    @property
    def titles(self) -> list[str]:
        return [str(one["title"]) for one in self.told]


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    receiver = Receiver(port or free_port())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(receiver.seconds)
            if receiver.is_down:
                self.send_error(503)
                return
            receiver.told.append(json.loads(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: what is told is looked at by the test."""

    server = ThreadingHTTPServer(("127.0.0.1", receiver.port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
