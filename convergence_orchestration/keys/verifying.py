"""What happens at each request of a tenant: the index is asked, and a stranger may hasten the next look at the ledger.

What belongs here: when a refused key is worth an early look. Whether a key is let in is the index's to say; a call that is
refused is refused at once and waits for nothing.
"""

from collections.abc import Callable
from datetime import datetime

from convergence_orchestration.keys.index import KeyIndex
from convergence_orchestration.keys.model import KeyRecord
from convergence_orchestration.settings import Environment

FORGOTTEN_AFTER = 60.0
"""Seconds for which a refused key sets off no second look."""

REMEMBERED = 10_000
"""So many refused keys are remembered, the oldest forgotten first: about 2 MB, whatever callers send."""


class Refused:
    """The keys refused lately, by their hash; `limit` of them at most."""

    def __init__(self, limit: int = REMEMBERED, forgotten_after: float = FORGOTTEN_AFTER) -> None:
        self._limit = limit
        self._forgotten_after = forgotten_after
        self._at: dict[str, float] = {}

    def is_news(self, key_hash: str, now: float) -> bool:
        """Remember `key_hash`; True unless it was news less than a minute ago. `now` only goes forward, in seconds."""
        last = self._at.get(key_hash)
        if last is not None and now - last < self._forgotten_after:
            return False
        self._at.pop(key_hash, None)  # a dict keeps the order of insertion: the oldest is the first
        if len(self._at) >= self._limit:
            del self._at[next(iter(self._at))]
        self._at[key_hash] = now
        return True

    def __len__(self) -> int:
        return len(self._at)


class Verifier:
    """Says whose key a text is. Used by one thread, the one that answers requests.

    Args:
        index: what is known.
        environment: whose keys are let in.
        look_early: asks for a look at the ledger soon, and returns at once; `Follower.wake`.
        seconds: a clock that only goes forward.
    """

    def __init__(
        self,
        index: KeyIndex,
        environment: Environment,
        look_early: Callable[[], None],
        seconds: Callable[[], float],
    ) -> None:
        self._index = index
        self._environment = environment
        self._look_early = look_early
        self._seconds = seconds
        self._refused = Refused()

    def verify(self, token: str, now: datetime) -> KeyRecord | None:
        """The record of the key `token` if it is let in at `now`, else None, whatever the reason.

        Every refused text takes the same steps; only a key of the right form that nobody knows sets off a look.
        """
        verdict = self._index.judge(token, self._environment, now)
        if verdict.record is not None:
            return verdict.record
        if self._refused.is_news(verdict.key_hash, self._seconds()) and verdict.is_stranger:
            self._look_early()
        return None
