"""How much of BigQuery's quota of bytes a day is used up.

What belongs here: asking for it, and when so much is used that the day may not end well. Who is told is for callers to say.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from google.cloud.bigquery import ScalarQueryParameter

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.sql import bytes_billed

FULL_SHARE: Final = 0.9
"""With more of a quota used the day may not end well."""

_GIB: Final = 2**30


@dataclass(frozen=True)
class DayQuota:
    """Bytes that queries were billed for since midnight UTC, of those that they may be billed for in a day."""

    billed: int
    most: int

    @property
    def share(self) -> float:
        """What is used up; 1 is all of it."""
        return self.billed / self.most

    @property
    def is_nearly_used(self) -> bool:
        """Whether the day may end with queries refused."""
        return self.share > FULL_SHARE

    @property
    def words(self) -> str:
        """Both numbers, for a person."""
        return (
            f"{self.billed / _GIB:.2f} GiB of {self.most / _GIB:.0f} GiB a day are billed since midnight UTC"
        )


def billed_today(bigquery: BigQuery, now: datetime) -> int | None:
    """Bytes billed in the client's location since midnight UTC; None: BigQuery does not say. Errors are `BigQuery.query`'s."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    sql = bytes_billed(bigquery.project, bigquery.location)
    row = bigquery.query(sql, (ScalarQueryParameter("since", "TIMESTAMP", midnight),))[0]
    billed: int | None = row["billed"] if row["queries"] else 0
    return billed
