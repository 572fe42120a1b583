"""The key ledger as the follower of this API reads it: empty until the platform is bootstrapped."""

from collections.abc import Callable, Sequence
from datetime import datetime

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.keys.follower import EventSource
from convergence_orchestration.keys.model import KeyEvent


class LedgerOnceBootstrapped:
    """`ledger`, with "there is no such table" read as what it says: no key was ever issued.

    Any other failure stays one: a ledger that cannot be read is not an empty ledger.
    """

    def __init__(self, ledger: EventSource) -> None:
        self._ledger = ledger

    def all(self) -> Sequence[KeyEvent]:
        """Every event there is."""
        return _or_none(self._ledger.all)

    def events_since(self, since: datetime) -> Sequence[KeyEvent]:
        """Every event recorded at or after `since`."""
        return _or_none(lambda: self._ledger.events_since(since))


def _or_none(read: Callable[[], Sequence[KeyEvent]]) -> Sequence[KeyEvent]:
    try:
        return read()
    except PermanentError as error:
        if error.code is ErrorCode.NOT_FOUND:
            return ()
        raise
