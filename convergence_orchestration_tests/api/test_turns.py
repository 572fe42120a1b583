"""Waiting for each other within one process, and for two answers at once."""

import anyio
import anyio.lowlevel
import pytest

from convergence_orchestration.api.side_by_side import both
from convergence_orchestration.api.turns import Turns
from convergence_orchestration.errors import ErrorCode, PermanentError


def test_whoever_asks_for_a_name_that_is_taken_waits_until_it_is_free() -> None:
    told: list[str] = []
    turns = Turns()

    async def work(who: str, *names: str) -> None:
        async with turns.of(*names):
            told.append(f"{who} begins")
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            told.append(f"{who} ends")

    async def everybody() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(work, "first", "a", "b")
            group.start_soon(work, "second", "b", "a", "a")

    anyio.run(everybody)

    assert told == ["first begins", "first ends", "second begins", "second ends"]
    assert len(turns) == 0


def test_different_names_do_not_wait_for_each_other() -> None:
    async def at_once() -> None:
        turns = Turns()
        with anyio.fail_after(5):
            async with turns.of("a"), turns.of("b"):
                assert len(turns) == 2

    anyio.run(at_once)


def test_a_name_is_free_again_after_an_error() -> None:
    async def twice() -> int:
        turns = Turns()
        with pytest.raises(ValueError, match="no"):
            async with turns.of("a"):
                raise ValueError("no")
        with anyio.fail_after(5):
            async with turns.of("a"):
                return len(turns)

    assert anyio.run(twice) == 1


async def answer(value: int) -> int:
    await anyio.lowlevel.checkpoint()
    return value


async def refuse() -> int:
    await anyio.lowlevel.checkpoint()
    raise PermanentError(ErrorCode.NOT_FOUND, "Not here.")


def test_both_answers_come_in_their_order() -> None:
    async def ask() -> tuple[int, int]:
        return await both(answer(1), answer(2))

    assert anyio.run(ask) == (1, 2)


@pytest.mark.parametrize("is_first", [True, False])
def test_the_error_of_either_is_raised_as_it_is(is_first: bool) -> None:  # noqa: FBT001 a parameter
    async def ask() -> tuple[int, int]:
        return await (both(refuse(), answer(1)) if is_first else both(answer(1), refuse()))

    with pytest.raises(PermanentError, match=r"Not here\."):
        anyio.run(ask)
