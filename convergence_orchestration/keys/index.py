"""The keys in memory, asked at every request of a tenant: a look-up by hash and two comparisons of times.

What belongs here: the look-up. No I/O; `follower.py` fills the index, `verifying.py` says what a stranger sets off.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from convergence_orchestration.following import FollowedIndex
from convergence_orchestration.keys.model import KeyId, KeyRecord
from convergence_orchestration.keys.token import LONGEST, hash_of, is_well_formed
from convergence_orchestration.settings import Environment
from convergence_orchestration.tenancy.model import TenantId

_NOBODY = KeyRecord(
    key_id=KeyId(""),
    tenant_id=TenantId(""),
    key_hash="",
    environment=Environment.DEVELOPMENT,
    description="",
    scopes=(),
    issued_at=datetime.min.replace(tzinfo=UTC),
    revoked_at=datetime.min.replace(tzinfo=UTC),
)


class Verdict(NamedTuple):
    """What the index says of a text: the record of the key that is let in, or None whatever the reason.

    `is_stranger` tells a key of the right form of which nothing is known here: it may have been issued a moment ago.
    """

    record: KeyRecord | None
    key_hash: str
    is_stranger: bool


class KeyIndex(FollowedIndex[str, KeyRecord]):
    """Hash to record; its age is that of the last look at the ledger."""

    def __init__(self) -> None:
        super().__init__(lambda record: record.key_hash)

    def judge(self, token: str, environment: Environment, now: datetime) -> Verdict:
        """What is known of `token` at `now`. A text that is no key takes the same steps as one that is.

        However long the text is, no more than the beginning of it is looked at, which no key is as long as.
        """
        is_formed = is_well_formed(token, environment)
        key_hash = hash_of(token[:LONGEST])
        record = self.get(key_hash) or _NOBODY
        is_accepted = record.is_accepted(now) and record.environment is environment
        if is_formed and is_accepted:
            return Verdict(record, key_hash, is_stranger=False)
        return Verdict(None, key_hash, is_formed and record is _NOBODY)

    def verify(self, token: str, environment: Environment, now: datetime) -> KeyRecord | None:
        """The record of the key `token` if it is let in at `now`, else None, whatever the reason."""
        return self.judge(token, environment, now).record
