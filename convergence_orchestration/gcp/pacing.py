"""Keeping calls apart, for quotas that Google counts by the second and not by what is in flight.

What belongs here: the pace. Which calls need one, and how fast, is for the callers and the settings.
"""

import time
from collections.abc import Callable
from threading import Lock


class Pace:
    """At most `per_second` calls a second, however many threads make them.

    Args:
        per_second: calls a second, more than 0.
        clock: seconds that only grow.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 1 / per_second
        self._clock = clock
        self._sleep = sleep
        self._reserving = Lock()
        self._next = clock()

    def wait(self) -> None:
        """Come back when the next call may be made."""
        with self._reserving:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            self._sleep(turn - now)
