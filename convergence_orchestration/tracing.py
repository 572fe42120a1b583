"""OpenTelemetry traces: from a call of the API through the run that it launched to each call of Google's services.

What belongs here: beginning, continuing and ending spans. Off unless OTEL_EXPORTER_OTLP_ENDPOINT is set: then nothing of
OpenTelemetry is imported. A request or a run begins a trace; what happens outside of both, such as looks at the key ledger,
is in none.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convergence_orchestration import __version__
from convergence_orchestration.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, SpanKind, Tracer

_TRACEPARENT = re.compile(
    r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
)
_TRACES_PATH = "/v1/traces"
_SEND_SECONDS = 2.0
"""So long a run's worker waits at its end for a receiver that does not answer."""


@dataclass
class _Tracing:
    """What this process traces with.

    Attributes:
        root: the span of the run that this process executes, for threads that know of none.
    """

    provider: "TracerProvider"
    tracer: "Tracer"
    root: "Context | None" = None


_own: _Tracing | None = None


def start(settings: Settings, service: str) -> bool:
    """Send this process's spans from now on, in `service`'s name; whether that is switched on. Not before a fork."""
    global _own  # noqa: PLW0603 a process has one
    if settings.otel_exporter_otlp_endpoint is None or settings.otel_sdk_disabled:
        return False
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 see above
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    endpoint = str(settings.otel_exporter_otlp_endpoint).rstrip("/") + _TRACES_PATH
    facts = {
        "service.name": service,
        "service.version": __version__,
        "deployment.environment.name": settings.environment.value,
    }
    provider = TracerProvider(resource=Resource.create(facts), shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=_SEND_SECONDS))
    )
    _own = _Tracing(provider, provider.get_tracer("convergence_orchestration"))
    return True


def stop() -> None:
    """Send what is left and trace no more; it waits some seconds for a receiver at most."""
    global _own
    if _own is not None:
        tracing, _own = _own, None
        tracing.provider.shutdown()


@contextmanager
def span(name: str, **attributes: str) -> Iterator[None]:
    """A part of the request or the run that this happens in; nothing outside of both."""
    if _own is None or not _is_in_one(_own):
        yield
        return
    from opentelemetry.trace import SpanKind  # noqa: PLC0415 see above

    with _begun(_own, name, SpanKind.CLIENT, _parent(_own), attributes):
        yield


@contextmanager
def request_span(traceparent: str) -> "Iterator[Span | None]":
    """The span of a call that is answered here, a part of the caller's trace if it sent one; None if that is off."""
    if _own is None:
        yield None
        return
    from opentelemetry.trace import SpanKind  # noqa: PLC0415 see above

    with _begun(_own, "request", SpanKind.SERVER, _remote(traceparent), {}) as begun:
        yield begun


@contextmanager
def run_span(job: str, run_id: str, traceparent: str) -> Iterator[None]:
    """The span of the run that this process executes, a part of the trace that it was launched in."""
    if _own is None:
        yield
        return
    from opentelemetry.context import get_current  # noqa: PLC0415 see above
    from opentelemetry.trace import SpanKind  # noqa: PLC0415

    facts = {"convergence.run_id": run_id}
    with _begun(_own, f"run {job}", SpanKind.CONSUMER, _remote(traceparent), facts):
        _own.root = get_current()
        yield


def traceparent() -> str | None:
    """W3C's header for the span that this happens in, None outside of any."""
    if _own is None:
        return None
    from opentelemetry.trace import get_current_span  # noqa: PLC0415 see above

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def trace_id() -> str | None:
    """The id of the trace that this happens in, None outside of any."""
    header = traceparent()
    return header.split("-")[1] if header else None


@contextmanager
def _begun(
    tracing: _Tracing, name: str, kind: "SpanKind", parent: "Context | None", attributes: dict[str, str]
) -> "Iterator[Span]":
    """A span; an exception makes it a failed one and is not quoted: its text is for the log."""
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 see above

    with tracing.tracer.start_as_current_span(
        name,
        context=parent,
        kind=kind,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as begun:
        try:
            yield begun
        except BaseException as error:
            begun.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def _is_in_one(tracing: _Tracing) -> bool:
    from opentelemetry.trace import get_current_span  # noqa: PLC0415 see above

    return tracing.root is not None or get_current_span().get_span_context().is_valid


def _parent(tracing: _Tracing) -> "Context | None":
    """None means the current span; a thread that has none is a part of the run."""
    from opentelemetry.trace import get_current_span  # noqa: PLC0415 see above

    return None if get_current_span().get_span_context().is_valid else tracing.root


def _remote(header: str) -> "Context":
    """The context of the span that a header names; an empty one, the beginning of a new trace, if it names none."""
    from opentelemetry.context import Context  # noqa: PLC0415 see above
    from opentelemetry.trace import (  # noqa: PLC0415
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    found = _TRACEPARENT.fullmatch(header)
    if found is None:
        return Context()
    named = SpanContext(
        int(found["trace"], 16),
        int(found["span"], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(found["flags"], 16)),
    )
    return set_span_in_context(NonRecordingSpan(named), Context())
