from collections.abc import Iterator

import httpx
import pytest

from convergence_orchestration.releases.smoke import smoke
from convergence_orchestration_tests.local_gcp.front_door.doors import Instance


@pytest.fixture
def instance() -> Iterator[Instance]:
    one = Instance("one")
    yield one
    one.shutdown()
    one.server_close()


def test_something_else_than_the_api_fails_in_every_point_and_says_what_it_answered(
    instance: Instance,
) -> None:
    with httpx.Client() as http:
        results = smoke(http, f"http://127.0.0.1:{instance.routed.port}", "staging", patience=0)
    assert not any(result.passed for result in results)
    assert results[0].detail == "200 one"
    assert results[1].detail == "It says that it is None, not staging."
    assert results[2].detail == "Not 403: 200 one"


def test_what_does_not_answer_is_waited_for_and_then_named() -> None:
    pauses: list[float] = []
    times = iter([0.0, 1.0, 2.0, 3.0])
    with httpx.Client() as http:
        results = smoke(
            http,
            "http://127.0.0.1:1",
            "staging",
            patience=2,
            pause=pauses.append,
            elapsed=lambda: next(times),
        )
    assert len(pauses) == 1
    assert {result.detail for result in results} == {"It did not answer: ConnectError."}
