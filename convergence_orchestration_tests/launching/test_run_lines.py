import pytest

from convergence_orchestration.api import launching
from convergence_orchestration.launching.run_lines import CALL_TAG, TRACE_TAG, fields_of, trace_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_run_of_a_call_says_the_calls_ids() -> None:
    tags = {
        CALL_TAG: "call-1",
        TRACE_TAG: TRACE,
        "convergence/tenant_id": "acme",
        "convergence/request_id": "req_1",
    }

    assert fields_of("run-1", "fulfil", tags) == {
        "run_id": "run-1",
        "job": "fulfil",
        "request_id": "call-1",
        "tenant_request_id": "req_1",
        "tenant_id": "acme",
        "trace": TRACE,
    }


def test_a_run_without_a_call_says_the_request_that_was_written_down() -> None:
    fields = fields_of("run-1", "fulfil", {"convergence/request_id": "req_1"})

    assert (fields["request_id"], fields["tenant_request_id"]) == ("req_1", None)
    assert fields_of("run-1", "bootstrap", {})["request_id"] is None


@pytest.mark.parametrize(
    ("tag", "trace"),
    [(TRACE, TRACE), (f"00-{TRACE}-00f067aa0ba902b7-01", TRACE), ("", None), ("not a trace", None)],
)
def test_a_trace_is_known_in_both_forms(tag: str, trace: str | None) -> None:
    assert trace_of(tag) == trace


def test_the_api_sets_the_tags_that_the_worker_reads() -> None:
    assert (launching.CALL_TAG, launching.TRACE_TAG) == (CALL_TAG, TRACE_TAG)
