"""Moving windows counted in this process' memory, and what a count tells.

What belongs here: counting in a dict, at a cost that does not grow with the number of callers. The memory storage of the
`limits` package looks through every caller's calls a hundred times a second, in a thread that the answering thread waits
for; shared storages are still that package's.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from limits import RateLimitItem

_COUNTS_BETWEEN_SWEEPS: Final = 10_000

_Key = tuple[str, int, str]


class Allowance(NamedTuple):
    """What is left of the limit that is nearest to its end; `reset` is in seconds from now."""

    limit: int
    window: str
    remaining: int
    reset: int
    is_exceeded: bool = False

    def headers(self) -> dict[str, str]:
        """The `RateLimit-*` headers."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }


class OwnWindows:
    """The calls of each caller within each window. Used by one thread; `seconds` is a clock that only goes forward."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._calls: dict[_Key, deque[float]] = {}
        self._counts = 0

    def count(self, items: Sequence[RateLimitItem], who: str) -> Allowance:
        """Count one call against each limit, the shortest window first; stop at the first that is used up.

        Raises:
            ValueError: there is no limit.
        """
        now = self._seconds()
        self._sweep_now_and_then(now)
        nearest: tuple[int, RateLimitItem, deque[float]] | None = None
        for item in items:
            calls = self._within(item, who, now)
            if len(calls) >= item.amount:
                return _allowance(item, calls, now, is_exceeded=True)
            calls.append(now)
            if nearest is None or item.amount - len(calls) < nearest[0]:
                nearest = (item.amount - len(calls), item, calls)
        if nearest is None:
            raise ValueError("no limit to count against")
        return _allowance(nearest[1], nearest[2], now, is_exceeded=False)

    def __len__(self) -> int:
        return len(self._calls)

    def _within(self, item: RateLimitItem, who: str, now: float) -> deque[float]:
        """The calls of this caller that the item's window still holds, the oldest first."""
        key = (item.namespace, item.GRANULARITY.seconds, who)
        calls = self._calls.get(key)
        if calls is None:
            calls = self._calls[key] = deque()
        oldest = now - key[1]
        while calls and calls[0] < oldest:
            calls.popleft()
        return calls

    def _sweep_now_and_then(self, now: float) -> None:
        """Forget those who have not called for a whole window."""
        self._counts += 1
        if self._counts % _COUNTS_BETWEEN_SWEEPS == 0:
            self._calls = {
                key: calls for key, calls in self._calls.items() if calls and calls[-1] >= now - key[1]
            }


def _allowance(item: RateLimitItem, calls: deque[float], now: float, *, is_exceeded: bool) -> Allowance:
    ends_in = calls[0] + item.GRANULARITY.seconds - now
    return Allowance(
        item.amount,
        item.GRANULARITY.name,
        max(0, item.amount - len(calls)),
        max(1, math.ceil(ends_in)),
        is_exceeded,
    )
