import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from convergence_orchestration import tracing
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.translate import Service, translated
from convergence_orchestration.settings import load_settings
from convergence_orchestration_tests.span_receiver import Receiver, receiving

CALLERS = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
KMS = Service("Cloud KMS", "127.0.0.1:1", "a-project")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver, and this process tracing to it."""
    with receiving() as receiver:
        settings = load_settings(_env_file=None, otel_exporter_otlp_endpoint=receiver.url)
        assert tracing.start(settings, "convergence-test")
        yield receiver
        tracing.stop()


def test_without_an_endpoint_nothing_is_traced_and_nothing_is_imported() -> None:
    code = """
import sys
from convergence_orchestration import tracing
from convergence_orchestration.settings import load_settings
assert not tracing.start(load_settings(_env_file=None), "x")
with tracing.request_span("") as span, tracing.span("x"), tracing.run_span("job", "run", ""):
    assert span is None and tracing.traceparent() is None and tracing.trace_id() is None
tracing.stop()
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout == "[]\n"


def test_it_can_be_switched_off() -> None:
    settings = load_settings(
        _env_file=None, otel_exporter_otlp_endpoint="http://127.0.0.1:1", otel_sdk_disabled=True
    )

    assert not tracing.start(settings, "x")


def test_a_call_its_run_and_a_call_of_googles_are_one_trace(receiver: Receiver) -> None:
    with tracing.request_span(CALLERS) as request:
        assert request is not None
        request.update_name("POST /api/v1/admin/bootstrap")
        handed_on = tracing.traceparent()
        assert tracing.trace_id() == TRACE
    assert handed_on is not None

    with tracing.run_span("bootstrap", "run-1", handed_on), translated("encrypting", KMS):
        pass
    tracing.stop()

    spans = {span.name: span for span in receiver.spans}
    assert {span.trace for span in spans.values()} == {TRACE}
    google, run = spans["Cloud KMS"], spans["run bootstrap"]
    assert google.parent == run.id
    assert run.parent == spans["POST /api/v1/admin/bootstrap"].id
    assert (google.attributes["doing"], run.attributes["convergence.run_id"]) == ("encrypting", "run-1")
    assert google.service == "convergence-test"


def test_threads_of_a_run_belong_to_it(receiver: Receiver) -> None:
    with tracing.run_span("bootstrap", "run-1", ""), ThreadPoolExecutor(1) as threads:
        threads.submit(_one_call).result()
    tracing.stop()

    run, google = (
        next(span for span in receiver.spans if span.name == name) for name in ("run bootstrap", "Cloud KMS")
    )
    assert (google.parent, google.trace) == (run.id, run.trace)


def test_what_happens_outside_of_requests_and_runs_is_in_no_trace(receiver: Receiver) -> None:
    thread = threading.Thread(target=_one_call)
    thread.start()
    thread.join()
    with tracing.request_span("no header"):
        pass
    tracing.stop()

    assert [(span.name, span.parent) for span in receiver.spans] == [("request", "")]


def test_a_failure_is_seen_and_its_text_is_not(receiver: Receiver) -> None:
    with pytest.raises(PermanentError), tracing.request_span(""), tracing.span("a part"):
        raise PermanentError(ErrorCode.INTERNAL, "cvg_dev_secret")
    tracing.stop()

    assert {span.has_failed for span in receiver.spans} == {True}
    assert b"cvg_dev_secret" not in receiver.received


def _one_call() -> None:
    with translated("encrypting", KMS):
        pass
