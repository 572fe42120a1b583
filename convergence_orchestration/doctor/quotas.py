"""How much room the day's quota of BigQuery leaves: what is used up refuses every query until midnight.

What belongs here: asking with the rights of whoever runs this, and the pure judgement.
"""

from datetime import UTC, datetime

from convergence_orchestration.doctor.calls import quotas_of
from convergence_orchestration.doctor.model import Area, Finding, Patient, State
from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.gcp.day_quota import DayQuota, billed_today

SUBJECT = "BigQuery: bytes that queries may be billed for today"


def quotas(patient: Patient, reached: frozenset[str]) -> Finding:
    """The finding; BigQuery is not asked if it is not among the services that answered, or if nobody bills."""
    most = patient.settings.query_quota
    if most is None:
        return Finding(Area.CALLS, SUBJECT, State.OK, "nobody bills: it is an emulator")
    if "BigQuery" not in reached:
        return Finding(Area.CALLS, SUBJECT, State.UNKNOWN, "it does not answer at all")
    client = bigquery_client(patient.settings)
    try:
        billed = billed_today(BigQuery(client), datetime.now(UTC))
    except ConvergenceError as error:
        return Finding(Area.CALLS, SUBJECT, State.UNKNOWN, error.message)
    finally:
        client.close()  # type: ignore[no-untyped-call]
    return headroom(billed, most, patient)


def headroom(billed: int | None, most: int, patient: Patient) -> Finding:
    """What so many bytes, of so many that a day may have, leave for the rest of it; None: BigQuery does not say."""
    if billed is None:
        cause = "BigQuery does not say how many bytes were billed today"
        return Finding(Area.CALLS, SUBJECT, State.UNKNOWN, cause)
    quota = DayQuota(billed, most)
    if not quota.is_nearly_used:
        return Finding(Area.CALLS, SUBJECT, State.OK, quota.words)
    cause = f"{quota.words}: when they are used up every query is refused"
    cure = quotas_of("bigquery.googleapis.com", patient.settings.gcp_project_id)
    return Finding(Area.CALLS, SUBJECT, State.PROBLEM, cause, cure)
