"""One caller at a time for what has a name, within this process: two equal calls launch one run.

What belongs here: waiting for one's turn. Across processes the ids of events and the run itself keep order.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import anyio


@dataclass
class _Turn:
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    callers: int = 0


class Turns:
    """The names that somebody works on now; others are forgotten."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}

    def __len__(self) -> int:
        """How many names somebody works on or waits for."""
        return len(self._turns)

    @asynccontextmanager
    async def of(self, *names: str) -> AsyncIterator[None]:
        """Wait until nobody else in this process works on any of these."""
        async with AsyncExitStack() as held:
            for name in sorted(set(names)):  # in one order, so that no two wait for each other
                await held.enter_async_context(self._one(name))
            yield

    @asynccontextmanager
    async def _one(self, name: str) -> AsyncIterator[None]:
        turn = self._turns.setdefault(name, _Turn())
        turn.callers += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.callers -= 1
            if not turn.callers:
                del self._turns[name]
