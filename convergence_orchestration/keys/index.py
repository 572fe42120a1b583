"""The keys in memory, asked at every request of a tenant: a look-up by hash and two comparisons of times.

What belongs here: the look-up and the swap. No I/O; `follower.py` fills the index.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import inf
from types import MappingProxyType

from convergence_orchestration.keys.model import KeyRecord
from convergence_orchestration.keys.token import hash_of, is_well_formed
from convergence_orchestration.settings import Environment


@dataclass(frozen=True)
class _Snapshot:
    by_hash: Mapping[str, KeyRecord]
    as_of: datetime | None


class KeyIndex:
    """Hash to record, swapped as a whole: a reader sees one state or the next one, never a half of each."""

    def __init__(self) -> None:
        self._snapshot = _Snapshot(MappingProxyType({}), None)

    def swap(self, records: Iterable[KeyRecord], as_of: datetime) -> None:
        """Serve `records` from now on; `as_of` is when the look at the ledger that gave them began."""
        self._snapshot = _Snapshot({record.key_hash: record for record in records}, as_of)

    def confirm(self, as_of: datetime) -> None:
        """Nothing has changed up to `as_of`: the records stay, their age begins anew."""
        self._snapshot = _Snapshot(self._snapshot.by_hash, as_of)

    def verify(self, token: str, environment: Environment, now: datetime) -> KeyRecord | None:
        """The record of the key `token` if it is let in at `now`, else None, whatever the reason.

        A text that is no key, or a key of another environment, is refused without a look-up.
        """
        if not is_well_formed(token, environment):
            return None
        record = self._snapshot.by_hash.get(hash_of(token))
        if record is None or record.environment is not environment or not record.is_accepted(now):
            return None
        return record

    def age(self, now: datetime) -> float:
        """Seconds since the look at the ledger that this index stands on; infinite before the first one."""
        as_of = self._snapshot.as_of
        return inf if as_of is None else max(0.0, (now - as_of).total_seconds())

    def __len__(self) -> int:
        return len(self._snapshot.by_hash)
