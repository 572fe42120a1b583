"""Keeping calls apart, for quotas that Google counts by the second and not by what is in flight.

What belongs here: the pace. Which calls need one, and how fast, is for the callers and the settings.
"""

import time
from collections import deque
from collections.abc import Callable
from threading import Lock


class Pace:
    """At most `per_second` calls in any second, however many threads make them; a few at once need not wait.

    Args:
        per_second: calls a second, more than 0; a broken number counts as the whole one below it, and below 1 it is one
            call in some seconds.
        clock: seconds that only grow.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        at_once = max(1, int(per_second))
        self._window = max(1.0, 1 / per_second)
        self._turns: deque[float] = deque(maxlen=at_once)
        self._clock = clock
        self._sleep = sleep
        self._reserving = Lock()

    def wait(self) -> None:
        """Come back when the next call may be made."""
        with self._reserving:
            now = turn = self._clock()
            if len(self._turns) == self._turns.maxlen:
                turn = max(now, self._turns[0] + self._window)
            self._turns.append(turn)
        if turn > now:
            self._sleep(turn - now)
