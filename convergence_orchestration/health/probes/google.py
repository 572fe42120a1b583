"""Google's services that the API stands on: KMS, Secret Manager, BigQuery, each really used.

What belongs here: the smallest use that proves something. The clients, their deadlines and checksums are `gcp/`.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from google.cloud.bigquery import ScalarQueryParameter

from convergence_orchestration.errors import ConvergenceError, ErrorCode, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.day_quota import DayQuota, billed_today
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.health.model import Measure
from convergence_orchestration.health.probes.looking import Finding, healthy, unhealthy, unknown

_ANSWER = Path(__file__).with_name("answer.sql").read_text(encoding="utf-8")
_ASKED = 42


def round_trip(kms: Kms) -> Sequence[Finding]:
    """Whether the key encrypts and gives back what it encrypted."""
    if kms.works():
        return [healthy()]
    return [unhealthy(f"Look at {kms.crypto_key_name}: it decrypts to something else than it encrypted.")]


def secret_access(secrets: Secrets, secret_id: str) -> Sequence[Finding]:
    """Whether the administrators' secret can be read and is whole; nothing of it is kept or said."""
    secrets.access(secret_id)  # checks the payload's checksum
    return [healthy()]


def query_and_quota(bigquery: BigQuery, most_bytes: int | None, now: datetime) -> Sequence[Finding]:
    """Whether a query is answered rightly; and whether a quota refuses it, or the day's bytes come to their end.

    `most_bytes` None: how many bytes are billed is not asked.
    """
    try:
        rows = bigquery.query(_ANSWER, (ScalarQueryParameter("asked", "INT64", _ASKED),))
    except TransientError as error:
        if error.code is not ErrorCode.QUOTA_EXHAUSTED:
            raise
        return [unhealthy(error.message), unhealthy(error.message)]
    is_right = [row["answer"] for row in rows] == [_ASKED]
    wrong = unhealthy("Look at Google's status page: BigQuery answered a query wrongly.")
    return [healthy() if is_right else wrong, _quota(bigquery, most_bytes, now)]


def _quota(bigquery: BigQuery, most_bytes: int | None, now: datetime) -> Finding:
    if most_bytes is None:
        return healthy("No quota refuses queries; how many bytes are billed was not asked this time.")
    try:
        return judged(billed_today(bigquery, now), most_bytes)
    except ConvergenceError as error:  # refused or not: it could not be asked
        return unknown(error.message)


def judged(billed: int | None, most_bytes: int) -> Finding:
    """What so many bytes of a day mean; None: BigQuery does not say."""
    if billed is None:
        return unknown("BigQuery does not say how many bytes were billed today.")
    quota = DayQuota(billed, most_bytes)
    measured = {Measure.USED_SHARE: round(quota.share, 6)}
    if quota.is_nearly_used:
        return unhealthy(f"Save queries or raise the quota: {quota.words}.", measured)
    return healthy(f"{quota.words}.", measured)
