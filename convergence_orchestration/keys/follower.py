"""What keeps the key index up to date: what one look at the ledger reads, and what follows from it.

Appends of many writers have no global order and arrive late: each look re-reads an overlapping window and drops what it
knows by event id. Now and then everything is read anew, in a thread of its own: with 100,000 keys that takes longer than a
revocation may. A look that fails changes nothing: the index stays as it is
and its age grows, which is what readiness and the API judge.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from threading import Lock, Thread
from typing import Protocol

from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.following import Follower
from convergence_orchestration.keys.index import KeyIndex
from convergence_orchestration.keys.model import KeyEvent, KeyId, KeyRecord, record_of
from convergence_orchestration.logs import logger

_log = logger(__name__)

OVERLAP = timedelta(minutes=5)
"""How far each look reaches back: longer than an append may take (30 s) with clocks that differ by minutes."""

REBUILD_EVERY = timedelta(minutes=15)
"""How often everything is read anew, for what came later than the overlap forgives."""


class EventSource(Protocol):
    """Where events come from: `KeyLedger`, or a list in a test."""

    def all(self) -> Sequence[KeyEvent]:
        """Every event there is."""

    def events_since(self, since: datetime) -> Sequence[KeyEvent]:
        """Every event recorded at or after `since`."""


def _in_a_thread(call: Callable[[], None]) -> None:
    Thread(target=call, name="the key ledger, read anew", daemon=True).start()


class LedgerFollower(Follower):
    """Fills `index` from `ledger` every `interval` seconds as long as it runs.

    Args:
        ledger: read in this thread alone.
        index: swapped after each successful look.
        interval: seconds between the end of one look and the next.
        clock: the time now, UTC.
        overlap: how far a look reaches back before the one before it.
        rebuild_every: how often everything is read anew.
        aside: runs what takes long while looks go on; a thread unless told.
    """

    def __init__(
        self,
        ledger: EventSource,
        index: KeyIndex,
        *,
        interval: float,
        clock: Callable[[], datetime],
        overlap: timedelta = OVERLAP,
        rebuild_every: timedelta = REBUILD_EVERY,
        aside: Callable[[Callable[[], None]], None] = _in_a_thread,
    ) -> None:
        super().__init__("the key ledger", interval)
        self._ledger = ledger
        self._index = index
        self._clock = clock
        self._overlap = overlap
        self._rebuild_every = rebuild_every
        self._aside = aside
        self._is_rebuilding = False
        self._known = _Known()
        self._looked_at: datetime | None = None
        self._rebuilt_at: datetime | None = None
        self._changing = Lock()

    def note(self, event: KeyEvent) -> None:
        """Apply an event of this process at once, before the ledger shows it."""
        with self._changing:
            changed = self._known.add([event])
            if changed and self._looked_at is not None:
                self._index.update(changed, self._looked_at)

    def refresh(self) -> None:
        """One look at the ledger; the first one reads everything.

        Raises:
            ConvergenceError: the ledger could not be read; the index is as it was.
        """
        began = self._clock()
        if self._rebuilt_at is None:
            self._rebuild(began)
            return
        self._look(began)
        if not self._is_rebuilding and began - self._rebuilt_at >= self._rebuild_every:
            self._is_rebuilding = True
            self._aside(partial(self._try_to_rebuild, began))

    def _look(self, began: datetime) -> None:
        events = self._ledger.events_since((self._looked_at or began) - self._overlap)
        with self._changing:
            self._looked_at = began
            if changed := self._known.add(events):
                self._index.update(changed, began)
            else:
                self._index.confirm(began)

    def _rebuild(self, began: datetime) -> None:
        known = _Known(self._ledger.all())
        with self._changing:
            # what was noted or seen since may not have been visible yet; an old event that is gone was restored away
            known.add(self._known.since(began - self._overlap))
            self._known = known
            self._looked_at = max(began, self._looked_at or began)
            self._rebuilt_at = began
            self._index.swap(self._known.records(), self._looked_at)

    def _try_to_rebuild(self, began: datetime) -> None:
        try:
            self._rebuild(began)
        except ConvergenceError as error:
            _log.warning("The key ledger could not be read anew; looks go on.", code=str(error.code))
        except Exception:  # noqa: BLE001 it is tried again at the next look
            _log.exception("A defect kept the key ledger from being read anew.")
        finally:
            self._is_rebuilding = False


class _Known:
    """The events known so far, once each, and the records they add up to."""

    def __init__(self, events: Iterable[KeyEvent] = ()) -> None:
        self._events: dict[KeyId, dict[str, KeyEvent]] = {}
        self._records: dict[KeyId, KeyRecord] = {}
        self.add(events)

    def add(self, events: Iterable[KeyEvent]) -> list[KeyRecord]:
        """Take in what is new of `events`; the records of the keys that it concerns."""
        changed: set[KeyId] = set()
        for event in events:
            of_key = self._events.setdefault(event.key_id, {})
            if event.event_id not in of_key:
                of_key[event.event_id] = event
                changed.add(event.key_id)
        records = [record for key_id in changed if (record := record_of(self._events[key_id].values()))]
        self._records.update((record.key_id, record) for record in records)
        return records

    def since(self, instant: datetime) -> list[KeyEvent]:
        """The events recorded at or after `instant`."""
        return [
            event
            for of_key in self._events.values()
            for event in of_key.values()
            if event.recorded_at >= instant
        ]

    def records(self) -> Iterable[KeyRecord]:
        """Every key's record."""
        return self._records.values()
