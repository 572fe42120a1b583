"""The services over REST, for `gcloud` and curl.

What belongs here: HTTP. The standard library's server is enough: answers are made in threads as they are for gRPC, and
an ASGI server would only add a loop that waits for those threads. `GET /healthz` answers 200.
"""

import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import urlsplit

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.local_gcp.dispatch import Dispatcher
from convergence_orchestration.local_gcp.enforcement import caller_of
from convergence_orchestration.local_gcp.refusals import Refusal, invalid, not_served, refuse
from convergence_orchestration.local_gcp.rest_json import error_json, json_of, request_of
from convergence_orchestration.local_gcp.rest_routes import Routes

HEALTH_PATH = "/healthz"
_MAX_BODY_BYTES = 10_000_000
_DOMAIN = "googleapis.com"


class RestEdge:
    """An HTTP server on one port of 127.0.0.1 (0: any).

    Raises:
        PermanentError: INVALID_SETTINGS, the port is taken.
    """

    def __init__(self, dispatcher: Dispatcher, port: int) -> None:
        try:
            self._server = _Server(("127.0.0.1", port), _Exchange)
        except OSError:
            message = f"Choose another --rest-port: {port} is taken."
            raise PermanentError(ErrorCode.INVALID_SETTINGS, message) from None
        self._server.dispatcher = dispatcher
        self._server.routes = Routes(dispatcher.services)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="rest", daemon=True
        )

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more calls; connections that stand open end with the process."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    dispatcher: Dispatcher
    routes: Routes


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for headers and body: two would wait for the client's delayed acknowledgement
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._exchange()

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 the standard library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the dispatcher logs
        pass

    def _exchange(self) -> None:
        url = urlsplit(self.path)
        domain = _DOMAIN
        try:
            body = self._body()
            if url.path == HEALTH_PATH:
                self._answer(HTTPStatus.OK, b'{"status": "ok"}')
                return
            server = cast("_Server", self.server)
            match = server.routes.match(self.command, url.path)
            if match is None:
                refuse("NOT_FOUND", f"{self.command} {url.path} is no method of a service served here.")
            if match.route.method is None:
                not_served(match.route.method_name)
            method = match.route.method
            domain = method.host
            caller = caller_of(self.headers.get("Authorization", ""))
            answer = server.dispatcher.answer(method, request_of(method, match, url.query, body), caller)
            self._answer(HTTPStatus.OK, json_of(answer, url.query))
        except Refusal as refusal:
            content = error_json(refusal.code.http_status, refusal.code.name, refusal.status(domain))
            self._answer(refusal.code.http_status, content)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > _MAX_BODY_BYTES:
            self.close_connection = True
            invalid(f"Content-Length must be a number of bytes up to {_MAX_BODY_BYTES}.")
        return self.rfile.read(int(length))

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
