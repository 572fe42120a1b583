import httpx
import pytest

from convergence_orchestration.releases.evidence import Probes
from convergence_orchestration.releases.traffic.probing import (
    Answer,
    Probe,
    from_json,
    probe,
    probe_all,
    tallied,
    to_json,
)
from convergence_orchestration_tests.releases.builders import NEW, OLD


def _answering(answer: int | Exception) -> httpx.Client:
    def respond(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/health"
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer)

    return httpx.Client(transport=httpx.MockTransport(respond))


@pytest.mark.parametrize(
    ("answer", "expected", "why"),
    [
        (200, Answer.OK, ""),
        (503, Answer.FAILED, "answered 503"),
        (404, Answer.FAILED, "answered 404"),
        (httpx.ReadTimeout("slow"), Answer.FAILED, "timed out"),
        (httpx.RemoteProtocolError("cut"), Answer.FAILED, "RemoteProtocolError"),
        (httpx.ConnectError("refused"), Answer.UNKNOWN, "not reached: ConnectError"),
        (httpx.ConnectTimeout("nobody"), Answer.UNKNOWN, "not reached: ConnectTimeout"),
    ],
)
def test_a_probe_tells_a_bad_answer_from_nobody_reached(
    answer: int | Exception, expected: Answer, why: str
) -> None:
    assert probe(_answering(answer), "https://blue---api.localhost") == Probe(expected, why)


def test_all_tags_are_probed_and_none_is_no_work() -> None:
    assert probe_all(_answering(200), {}) == {}
    found = probe_all(_answering(200), {NEW: "https://blue---api", OLD: "https://green---api"})
    assert found == {NEW: Probe(Answer.OK), OLD: Probe(Answer.OK)}


def test_failures_in_a_row_are_ended_by_an_answer_and_not_by_our_own_trouble() -> None:
    tallies: dict[object, Probes] = {}
    for one in (
        Probe(Answer.FAILED, "answered 500"),
        Probe(Answer.UNKNOWN, "not reached"),
        Probe(Answer.FAILED, "timed out"),
    ):
        tallies = tallied(tallies, {NEW: one})  # type: ignore[arg-type,assignment]
    assert tallies[NEW] == Probes(0, 2, 1, 2, "timed out")
    assert tallied(tallies, {NEW: Probe(Answer.OK)})[NEW] == Probes(1, 2, 1, 0, "timed out")  # type: ignore[arg-type]


def test_tallies_survive_the_cursor() -> None:
    tallies = {NEW: Probes(3, 1, 0, 1, "timed out"), OLD: Probes()}
    assert from_json(to_json(tallies)) == tallies
