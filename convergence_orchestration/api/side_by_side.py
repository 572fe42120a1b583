"""Waiting for two answers at the same time. Nothing else belongs here."""

from collections.abc import Awaitable

import anyio


async def both[A, B](first: Awaitable[A], second: Awaitable[B]) -> tuple[A, B]:
    """Both answers; if either fails, the other is given up and the error is the one that was raised first."""
    answers: dict[str, A] = {}

    async def keep() -> None:
        answers["first"] = await first

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(keep)
            other = await second
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return answers["first"], other
