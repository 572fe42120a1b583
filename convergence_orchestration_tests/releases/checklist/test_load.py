import asyncio
from collections.abc import Iterator

import httpx
import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.releases.checklist.load import Answer, check_load, send, summed_up
from convergence_orchestration.releases.policy import ServiceTargets
from convergence_orchestration_tests.local_gcp.front_door.doors import Instance

TARGETS = ServiceTargets()


@pytest.fixture
def instance() -> Iterator[Instance]:
    one = Instance("one")
    yield one
    one.shutdown()
    one.server_close()


def answers(count: int, slow: int = 0, errors: int = 0) -> list[Answer]:
    return [Answer(500 if at < errors else 200, 600.0 if at < slow else 10.0) for at in range(count)]


def test_percentiles_are_latencies_that_so_many_kept() -> None:
    result = summed_up([Answer(200, float(at)) for at in range(1, 101)], 10, 10, 11)
    assert (result.p50_ms, result.p95_ms, result.p99_ms) == (50, 95, 99)
    assert (result.requests, result.rate, result.seconds) == (100, 10, 11)
    assert summed_up([], 10, 1, 1).p99_ms == 0


@pytest.mark.parametrize(
    ("found", "problems"),
    [
        (answers(1000), 0),
        (answers(1000, errors=1), 0),  # exactly on the target
        (answers(1000, errors=2), 1),
        (answers(1000, slow=10), 0),
        (answers(1000, slow=11), 1),
        (answers(1000, slow=60), 2),
        ([Answer(0, 10.0)], 2),  # no answer, and far fewer than were asked for
        ([], 3),
    ],
)
def test_a_missed_target_is_named(found: list[Answer], problems: int) -> None:
    assert len(summed_up(found, 100, 10, 10).problems(TARGETS)) == problems


def test_a_load_is_sent_at_its_rate_and_counts_what_failed(instance: Instance) -> None:
    async def sent(path: str) -> tuple[int, int, float]:
        async with httpx.AsyncClient() as http:
            result = await send(http, f"http://127.0.0.1:{instance.routed.port}{path}", 100, 0.2)
            return result.requests, result.errors, result.seconds

    requests, errors, seconds = asyncio.run(sent("/"))
    assert (requests, errors) == (20, 0)
    assert seconds >= 0.19
    assert asyncio.run(sent("/status/503"))[1] == 20


def test_no_answer_at_all_is_an_error() -> None:
    async def sent() -> int:
        async with httpx.AsyncClient() as http:
            return (await send(http, "http://127.0.0.1:1/", 100, 0.01)).errors

    assert asyncio.run(sent()) == 1


@pytest.mark.parametrize(
    ("rate", "seconds", "path"), [(0, 1, "/"), (501, 1, "/"), (1, 3601, "/"), (1, 1, "x")]
)
def test_a_wrong_load_is_refused(rate: float, seconds: float, path: str) -> None:
    with pytest.raises(PermanentError) as caught:
        check_load(rate, seconds, path)
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT
