"""An index in memory that follows a table: a look every few seconds, in a thread of its own, and the index's age.

What belongs here: the thread and the swap, whatever is followed. What is read, and what it means, is its domain's.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import inf
from threading import Event, Thread
from types import MappingProxyType

from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.logs import logger

_log = logger(__name__)


@dataclass(frozen=True)
class _Snapshot[Key, Value]:
    values: Mapping[Key, Value]
    as_of: datetime | None


class FollowedIndex[Key, Value]:
    """Values by key, swapped as a whole: a reader sees one state or the next one, never a half of each."""

    def __init__(self, key_of: Callable[[Value], Key]) -> None:
        self._key_of = key_of
        self._snapshot = _Snapshot[Key, Value](MappingProxyType({}), None)

    def swap(self, values: Iterable[Value], as_of: datetime) -> None:
        """Serve `values` from now on, the later of two with one key; `as_of` is when the look that gave them began."""
        self._snapshot = _Snapshot({self._key_of(value): value for value in values}, as_of)

    def update(self, values: Iterable[Value], as_of: datetime) -> None:
        """Serve `values` as well from now on, in the place of those with their keys; what is served is copied, not changed."""
        changed = {self._key_of(value): value for value in values}
        self._snapshot = _Snapshot({**self._snapshot.values, **changed}, as_of)

    def confirm(self, as_of: datetime) -> None:
        """Nothing has changed up to `as_of`: the values stay, their age begins anew."""
        self._snapshot = _Snapshot(self._snapshot.values, as_of)

    def get(self, key: Key) -> Value | None:
        """The value of this key, or None."""
        return self._snapshot.values.get(key)

    def age(self, now: datetime) -> float:
        """Seconds since the look that this index stands on; infinite before the first one."""
        as_of = self._snapshot.as_of
        return inf if as_of is None else max(0.0, (now - as_of).total_seconds())

    def __len__(self) -> int:
        return len(self._snapshot.values)


EARLY_SECONDS = 0.25
"""Between two looks there is at least this pause, however often `wake` is called."""


class Follower(ABC):
    """Calls `refresh` every `interval` seconds as long as it runs; a look that fails changes nothing.

    Args:
        what: what is followed, for the log and the thread's name.
        interval: seconds between the end of one look and the next.
    """

    def __init__(self, what: str, interval: float) -> None:
        self._what = what
        self._interval = interval
        self._stopping = Event()
        self._awake = Event()
        self._thread = Thread(target=self._run, name=f"follower of {what}", daemon=True)

    @abstractmethod
    def refresh(self) -> None:
        """One look.

        Raises:
            ConvergenceError: nothing could be read; the index is as it was.
        """

    def start(self) -> None:
        """Begin to follow, with a first look at once. Once in a follower's life."""
        self._thread.start()

    def wake(self) -> None:
        """Ask for a look before the interval is over; returns at once, and the look comes when the shortest pause is over."""
        self._awake.set()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread; waits `timeout` seconds for the look it may be in. Harmless if it was never started."""
        self._stopping.set()
        self._awake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        pause = min(EARLY_SECONDS, self._interval)
        while not self._stopping.is_set():
            self._awake.clear()  # before the look: what is asked for during it may have come too late for it
            self._try_to_refresh()
            self._stopping.wait(pause)
            self._awake.wait(self._interval - pause)

    def _try_to_refresh(self) -> None:
        try:
            self.refresh()
        except ConvergenceError as error:
            _log.warning(
                "What an index follows could not be read; it stays as it was.",
                followed=self._what,
                code=error.code,
            )
        except Exception:  # noqa: BLE001 a thread that died would let the index age for ever
            _log.exception("A defect kept an index from being refreshed.", followed=self._what)
