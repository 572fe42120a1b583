"""The exporter's HTTP server.

What belongs here: `GET /metrics` and nothing else. The standard library's server is enough for one scraper.
"""

from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.exporting.metrics import CONTENT_TYPE

METRICS_PATH = "/metrics"


class MetricsServer(ThreadingHTTPServer):
    """Serves a text at `/metrics`; two scrapes at once wait for each other.

    Raises:
        PermanentError: INVALID_ARGUMENT, the port is taken.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, text: Callable[[], bytes]) -> None:
        self._text = text
        self._turn = Lock()
        try:
            super().__init__((host, port), _Scrape)
        except OSError:
            raise PermanentError(
                ErrorCode.INVALID_ARGUMENT, f"Choose another --port: {port} is taken on {host}."
            ) from None

    @property
    def port(self) -> int:
        """The port, also where any was asked for by 0."""
        return int(self.server_address[1])

    def text(self) -> bytes:
        """The metrics, made anew."""
        with self._turn:
            return self._text()


class _Scrape(BaseHTTPRequestHandler):
    server: MetricsServer

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != METRICS_PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        text = self.server.text()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 a line for each scrape says nothing
        pass
