"""The keys in memory, asked at every request of a tenant: a look-up by hash and two comparisons of times.

What belongs here: the look-up. No I/O; `follower.py` fills the index.
"""

from datetime import datetime

from convergence_orchestration.following import FollowedIndex
from convergence_orchestration.keys.model import KeyRecord
from convergence_orchestration.keys.token import hash_of, is_well_formed
from convergence_orchestration.settings import Environment


class KeyIndex(FollowedIndex[str, KeyRecord]):
    """Hash to record; its age is that of the last look at the ledger."""

    def __init__(self) -> None:
        super().__init__(lambda record: record.key_hash)

    def verify(self, token: str, environment: Environment, now: datetime) -> KeyRecord | None:
        """The record of the key `token` if it is let in at `now`, else None, whatever the reason.

        A text that is no key, or a key of another environment, is refused without a look-up.
        """
        if not is_well_formed(token, environment):
            return None
        record = self.get(hash_of(token))
        if record is None or record.environment is not environment or not record.is_accepted(now):
            return None
        return record
