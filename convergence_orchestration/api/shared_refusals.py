"""One look at a tenant's keys answers everybody who waited for it: of a hundred at once, 99 are refused by one query.

What belongs here: remembering the last refusal for a name, and to whom it may be repeated: to those who had asked before
the look began. Whoever asks later gets a look of his own.
"""

import time

from convergence_orchestration.errors import PermanentError

_MOST = 1000


class SharedRefusals:
    """The last refusal for each name, with when the look for it began, by this process' monotonic clock."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[float, PermanentError]] = {}

    def now(self) -> float:
        """A moment to compare looks with."""
        return time.monotonic()

    def remember(self, name: str, looked_at: float, error: PermanentError) -> None:
        """A look for `name` that began at `looked_at` ended in this refusal."""
        if len(self._said) >= _MOST:
            self._said.clear()
        self._said[name] = (looked_at, error)

    def said_to(self, name: str, asked_at: float) -> PermanentError | None:
        """The refusal that holds for whoever asked at `asked_at`; None if he has to look himself."""
        looked_at, error = self._said.get(name, (asked_at - 1, None))
        if error is None or looked_at < asked_at:
            return None
        return PermanentError(error.code, error.message, error.details)
