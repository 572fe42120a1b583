"""A receiver of OpenTelemetry's spans over HTTP, as a collector is one."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True)
class Span:
    """A span that arrived; ids are hexadecimal, `parent` is empty for a trace's first."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    has_failed: bool
    attributes: Mapping[str, str]


@dataclass
class Receiver:
    """What arrived."""

    url: str = ""
    received: bytes = b""
    spans: list[Span] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        """One message."""
        self.received += body
        message = ExportTraceServiceRequest.FromString(body)
        for resource in message.resource_spans:
            facts = {each.key: each.value.string_value for each in resource.resource.attributes}
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                self.spans.append(
                    Span(
                        service=facts["service.name"],
                        name=span.name,
                        trace=span.trace_id.hex(),
                        id=span.span_id.hex(),
                        parent=span.parent_span_id.hex(),
                        has_failed=span.status.code == Status.STATUS_CODE_ERROR,
                        attributes={each.key: each.value.string_value for each in span.attributes},
                    )
                )


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a port of its own."""
    receiver = Receiver()

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            import gzip  # noqa: PLC0415 only where a sender compresses

            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.take(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
